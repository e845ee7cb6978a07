/**
 * Services where no call makes a key: a person makes each value as the key's runbook says and hands it in, and ends the old one.
 * docs/manual.md says how that goes. A test is one described request.
 */
import { z } from "zod";
import { testSchema } from "./described/description.ts";
import { fieldsNamed, fillIn, findFlaws, originOf } from "./described/request.ts";
import { fieldOf } from "./described/template.ts";
import { fieldsCalled } from "./fields.ts";
import { callApi, testedBy } from "./http-client.ts";
import { findDesk } from "./leak-desk.ts";
import type { Provider } from "./provider.ts";

const settings = z
  .strictObject({
    runbook: z
      .strictObject({
        text: z
          .string()
          .min(1)
          .max(2_000)
          .describe("What a person does, in words. It goes out with reminders."),
        url: z
          .url({ protocol: /^https$/ })
          .max(2_048)
          .optional()
          .describe("Where."),
      })
      .describe("How a new value is made and the old one ended."),
    test: testSchema.optional().describe("A request that works only with a value that works."),
  })
  .superRefine(({ test }, check) => {
    if (!test) return;
    const flaws = findFlaws(test, (name) => fieldOf(name, "value") !== undefined);
    if (fieldsNamed(test, "value").length === 0)
      flaws.push({ path: [], message: "must hold the value, such as {{value.secret}}" });
    for (const { path, message } of flaws)
      check.addIssue({ code: "custom", path: ["test", ...path], message });
  });

const undescribed: Provider = {
  name: "manual",
  title: "A service without an API for its keys",
  about: {
    page: "https://cheatsheetseries.owasp.org/cheatsheets/Secrets_Management_Cheat_Sheet.html",
    leastScope: "None: Rekey asks nothing of the service but the test that is described.",
    calls: {
      preflight: "none",
      mint: "none: a person makes a value as the runbook says and hands it in by PUT /v1/keys/{key}/value",
      test: "the request in `config.test`, if there is one",
      revoke:
        "none: a person ends the old value; a GitHub token that leaked: POST https://api.github.com/credentials/revoke",
    },
    notes: [
      "On the day that the schedule says an event `key.due` goes out with the runbook, and reminders follow until a value is handed in.",
      "After the old value's grace another one asks to end it, until it is seen refused or somebody says that it is done.",
      "A GitHub token (`ghp_`, `gho_`, `ghu_`, `ghr_`, `github_pat_`) that leaked is handed in at GitHub's `POST /credentials/revoke`, which ends it: at once, or, with `onCompromise` of `hold`, when it was replaced.",
    ],
    unverified: [],
  },
  overlap: "ours",
  local: false,
  timeoutMs: 0,
  propagationMs: 0,
  repeatsMint: false,
  verifiedHere: false,
  config: settings,
  changeable: ["runbook"],
  needsFirst: true,
  opensApi: false,
  adopts: true,
  defaultCooldown: "0",
  runbook: (config) => settings.parse(config).runbook,
  leakDesk: findDesk,

  async preflight() {
    return { kind: "green" };
  },

  async mint() {
    return { kind: "refused", problem: "only a person makes a new value of this key" };
  },
};

export const manual: Provider = {
  ...undescribed,

  configured(config) {
    const { test } = settings.parse(config);
    if (!test) return undescribed;
    const more = fieldsCalled(fieldsNamed(test, "value").filter((name) => name !== "secret"));
    return {
      ...undescribed,
      ...(more && { fields: more }),
      addresses: () => [originOf(test)],

      async test(context, { fields }) {
        const request = fillIn(test, (name) => fields?.[fieldOf(name, "value") ?? ""]);
        if (!request.ok) return { kind: "indeterminate", problem: request.error };
        const parse = test.body === "any" ? { parse: () => null } : {};
        const reading = { schema: z.unknown(), ...parse, ...(test.ok && { ok: test.ok }) };
        return testedBy(await callApi(context, request.value, reading), { statuses: test.rejected });
      },
    };
  },
};
