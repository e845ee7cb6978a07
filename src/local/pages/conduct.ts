/** What Rekey does at a service, in words: how the old value ends and what follows each failure. By what the provider can do, nowhere by its name. */
import type { Provider } from "../../providers/provider.ts";
import { resolverOf } from "../../rotation/facts.ts";
import { inWords } from "./markdown.ts";

/** What becomes of the old value, in a few words. */
export function oldValueBriefly({ overlap, runbook, configured, connection }: Provider): string {
  if (runbook) return "lives until a person ends it, as somebody is asked to after its grace";
  if (configured && connection) return "as the connection describes it";
  return {
    ours: "lives through its grace, then Rekey revokes it",
    provider: "the service keeps it alive for the grace",
    none: "dead the moment that the new one is made",
  }[overlap];
}

/** The same, at length. */
export function describeOverlap(provider: Provider): string[] {
  const { overlap, maxLive, about, revoke, title } = provider;
  switch (overlap) {
    case "ours": {
      const slots =
        maxLive === undefined
          ? []
          : [
              `${title} lets ${maxLive} live at once. A rotation waits while its own old version holds the last slot, and never ends a credential that Rekey did not make or adopt.`,
            ];
      return [
        "The old value and the new one both work, until Rekey revokes the old one: after the new one was tested, is held everywhere it is required, and the grace is over.",
        "If a required destination does not get the new value in time, the old one is put back wherever the new one may have arrived, and only then the new one is revoked.",
        ...slots,
      ];
    }
    case "provider":
      return [
        `${title} itself keeps the old value alive for the grace that it is asked for, counted from the moment that the new one is made. From there on there is only forward: no cancel, no rollback, no longer grace.`,
        revoke
          ? "An emergency, `finish` or `revoke` ends it earlier, by a call of its own."
          : "Nothing ends it earlier.",
      ];
    case "none":
      return [
        `${title} ends the old value the moment that it makes the new one: whoever uses it fails until the new one has arrived. ${about?.instead ? `There is no way round that: ${about.instead}. ` : ""}From there on there is only forward: no cancel, no rollback.`,
        "A rotation begins only when the service and every required destination have just answered. A scheduled one needs `allowDowntime: true` in the policy, so that nobody is surprised by it.",
      ];
  }
}

/** Each thing that may go wrong, and what follows. */
export function describeFailures(provider: Provider): [what: string, follows: string][] {
  const { overlap, local, test, revoke } = provider;
  if (local) return ownFailures();
  return [
    [
      "Something is not ready: the service, a slot, a required destination",
      "Nothing has changed. It is tried again for as long as `deliverWithin` (6 hours), then the rotation has failed.",
    ],
    [
      "The service says that it made nothing",
      "The rotation has failed, or waits as long as the service says; the old value stays. The schedule begins another one later.",
    ],
    ["The answer to the call that makes the new value is lost", lostAnswer(provider)],
    ...(test
      ? ([
          ["The new value is rejected by its test", rejected(overlap)],
          ["The test says neither yes nor no", unclear(provider)],
        ] satisfies [string, string][])
      : []),
    ["A required destination does not get the new value in time", late(overlap)],
    [
      overlap === "none" || !revoke
        ? "The old value goes on working after its end"
        : "The old value cannot be revoked, or goes on working",
      "It is tried again, in the end once a day; it stays visible and counted as `revoking` and is never forgotten. A person may give it up (`abandon`), which is an event.",
    ],
    ["The current value leaks", leaked(provider)],
  ];
}

function ownFailures(): [string, string][] {
  return [
    [
      "A required destination does not get the new value in time",
      `${late("ours")} Making and revoking are writes to Rekey's own database, and do not fail by themselves.`,
    ],
  ];
}

function lostAnswer(provider: Provider): string {
  const { timeoutMs, propagationMs } = provider;
  const settled = `once the call can no longer be running (${inWords(2 * timeoutMs + propagationMs)})`;
  const lost = "the key is `lost`, `key.lost` goes out, and a person hands in a value";
  switch (resolverOf(provider)) {
    case "find":
      return `It is looked for by the marker that it carries. What is found has a value that nobody knows, so it is revoked, and another is made ${settled}.`;
    case "repeat":
      return provider.overlap === "none"
        ? `The same call is repeated with the same idempotency key, ${settled}. If the service says that it knows that key already, ${lost}. If it refuses the repeat, the old value is tested instead: two refusals mean the same, two successes that nothing was made.`
        : `The same call is repeated with the same idempotency key, ${settled}, and brings the value.`;
    case "list":
      return `The list is compared with the one from before, ${settled}. Exactly one new credential that looks like this key's is the one whose value was lost: it is revoked, and another is made. Anything else waits for a person (\`needs-human\`); what a person may have made is never touched.`;
    case "old-value":
      return `It is never repeated. The old value is tested ${settled}, twice, 10 seconds apart: two successes mean that nothing was made, and another is asked for; two refusals that ${lost}.`;
    case "nobody":
      return "It is never repeated, as nothing says what happened: the rotation waits for a person (`needs-human`).";
  }
}

function rejected(overlap: Provider["overlap"]): string {
  return {
    ours: "It is revoked again, the old value stays, and the rotation has failed.",
    provider:
      "It is revoked, and another is made. If the old value's time is over by then, the key is `lost` and a person hands in a value.",
    none: "The key is `lost`, `key.lost` goes out, and a person hands in a value.",
  }[overlap];
}

function unclear({ overlap, propagationMs }: Provider): string {
  const early =
    propagationMs > 0
      ? ` A refusal within ${inWords(propagationMs)} says nothing either: the service may not know the value yet.`
      : "";
  const then = {
    ours: "It is tested again for as long as `deliverWithin`, then the new value is revoked and the old one stays.",
    provider: "It is tested again for a tenth of the old value's time, then delivered.",
    none: `It is tested again for ${inWords(Math.max(30_000, propagationMs))}, then delivered: there is nothing to go back to.`,
  }[overlap];
  return `${then}${early}`;
}

function late(overlap: Provider["overlap"]): string {
  return {
    ours: "The old value is put back wherever the new one may have arrived; when each destination has confirmed that, the new one is revoked.",
    provider:
      "`key.at-risk` goes out with a quarter of the old value's time left, and the destination is tried until it holds the new one.",
    none: "`key.at-risk` goes out, and the destination is tried until it holds the new one.",
  }[overlap];
}

function leaked({ overlap, revoke }: Provider): string {
  const replaced = "It is replaced at once, without looking at windows or red destinations";
  if (overlap === "none") return `${replaced}; that ends it.`;
  return revoke
    ? `${replaced}, and revoked by a call; after a minute also without a replacement, unless the policy says otherwise (\`onCompromise\`).`
    : `${replaced}, and the service is asked to end it now.`;
}
