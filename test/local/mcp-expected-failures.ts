/**
 * What the conformance suite asks for and this server is not, each with its reason. A scenario that fails and is not here fails the test, and
 * so does one that is here and passes.
 */
export interface Expected {
  reason: string;
  /** Only these checks of it; without, the scenario as a whole. */
  checks?: readonly string[];
}

const FIXTURE_TOOL = "calls a tool of the suite's own example server";
const FIXTURE_PROMPT = "gets a prompt of the suite's own example server";
const FIXTURE_RESOURCE = "reads a resource of the suite's own example server";
const SESSION = "needs a session that the server tells of changes, and there is none";
const TASKS = "the extension for tasks: a rotation is its own task, which get_rotation follows";

/** Of both revisions. */
const ALWAYS: Record<string, Expected> = {
  "completion-complete": { reason: "asks for the capability to complete arguments, and there is none" },
  "json-schema-2020-12": { reason: FIXTURE_TOOL },
  "prompts-get-embedded-resource": { reason: FIXTURE_PROMPT },
  "prompts-get-simple": { reason: FIXTURE_PROMPT },
  "prompts-get-with-args": { reason: FIXTURE_PROMPT },
  "prompts-get-with-image": { reason: FIXTURE_PROMPT },
  "resources-read-binary": { reason: FIXTURE_RESOURCE },
  "resources-read-text": { reason: FIXTURE_RESOURCE },
  "resources-templates-read": { reason: FIXTURE_RESOURCE },
  "tools-call-audio": { reason: FIXTURE_TOOL },
  "tools-call-embedded-resource": { reason: FIXTURE_TOOL },
  "tools-call-error": { reason: FIXTURE_TOOL },
  "tools-call-image": { reason: FIXTURE_TOOL },
  "tools-call-mixed-content": { reason: FIXTURE_TOOL },
  "tools-call-simple-text": { reason: FIXTURE_TOOL },
  "tools-call-with-progress": { reason: FIXTURE_TOOL },
};

export const EXPECTED_FAILURES = {
  "2026-07-28": {
    ...ALWAYS,
    "server-stateless": {
      reason: FIXTURE_TOOL,
      checks: [
        "sep-2575-http-server-no-independent-requests-on-stream",
        "sep-2575-missing-capability-http-400",
        "sep-2575-server-no-log-without-loglevel",
        "sep-2575-server-rejects-undeclared-capability",
      ],
    },
    "http-custom-header-server-validation": { reason: "no tool asks for a header of its own" },
    "input-required-result-basic-elicitation": { reason: FIXTURE_TOOL },
    "input-required-result-basic-list-roots": { reason: FIXTURE_TOOL },
    "input-required-result-basic-sampling": { reason: FIXTURE_TOOL },
    "input-required-result-capability-check": { reason: FIXTURE_TOOL },
    "input-required-result-multi-round": { reason: FIXTURE_TOOL },
    "input-required-result-multiple-input-requests": { reason: FIXTURE_TOOL },
    "input-required-result-non-tool-request": { reason: FIXTURE_PROMPT },
    "input-required-result-request-state": { reason: FIXTURE_TOOL },
    "input-required-result-result-type": { reason: FIXTURE_TOOL },
    "input-required-result-tampered-state": { reason: FIXTURE_TOOL },
    "tasks-capability-negotiation": { reason: TASKS },
    "tasks-dispatch-and-envelope": { reason: TASKS },
    "tasks-lifecycle": { reason: TASKS },
    "tasks-mrtr-composition": { reason: TASKS },
    "tasks-mrtr-input": { reason: TASKS },
    "tasks-request-headers": { reason: TASKS },
    "tasks-request-state-removal": { reason: TASKS },
    "tasks-required-task-error": { reason: TASKS },
    "tasks-wire-fields": { reason: TASKS },
  },
  "2025-11-25": {
    ...ALWAYS,
    "elicitation-sep1034-defaults": { reason: FIXTURE_TOOL },
    "elicitation-sep1330-enums": { reason: FIXTURE_TOOL },
    "resources-subscribe": { reason: SESSION },
    "resources-unsubscribe": { reason: SESSION },
    "tools-call-elicitation": { reason: FIXTURE_TOOL },
    "tools-call-sampling": { reason: FIXTURE_TOOL },
    "tools-call-with-logging": { reason: FIXTURE_TOOL },
  },
} as const satisfies Record<string, Record<string, Expected>>;
