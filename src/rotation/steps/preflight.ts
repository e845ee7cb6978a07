/** Step 1: is everything ready? The provider answers and every required destination answers its probe. Nothing changes yet. */
import { providerContext } from "../context.ts";
import { probeDestination } from "../probe.ts";
import type { Step } from "./step.ts";

/** A destination that answered this recently is not asked again. */
const PROOF_LASTS_MS = 5 * 60_000;

export const preflight: Step = async (context, rotation) => {
  const { store } = context;
  const key = store.keys.get(rotation.keyId);
  if (!key) return { outcome: { kind: "stopped", problem: "the key is gone" } };

  const service = await context.providerOf(key.provider).preflight(providerContext(context, key));
  const required = store.destinations
    .linksOfKey(key.id)
    .filter((link) => link.required)
    .map((link) => store.destinations.get(link.destinationId))
    .filter((row) => row !== undefined);
  const disabled = required.find((row) => row.state === "disabled");
  if (disabled) {
    const problem = `${disabled.name}: disabled, as it answered 410 Gone; test it or change it`;
    return { outcome: { kind: "preflight-red", problem } };
  }
  const stale = required.filter(
    (row) => row.state !== "ready" || (row.provenAt ?? 0) < context.now() - PROOF_LASTS_MS,
  );
  const probes = await Promise.all(stale.map((row) => probeDestination(context, row)));

  const red = probes.find((probe) => probe.result.kind !== "held");
  const waits = probes.map(({ result }) => (result.kind === "failed" ? (result.retryAfterMs ?? 0) : 0));
  const problem =
    service.kind === "red"
      ? service.problem
      : red && red.result.kind !== "held" && `${red.name}: ${red.result.problem}`;
  return {
    outcome: problem
      ? { kind: "preflight-red", problem, retryAfterMs: Math.max(0, ...waits) }
      : { kind: "preflight-green" },
    report: red?.result.report,
    ...(probes.some((probe) => probe.isNews) && {
      alsoCommit: () => probes.forEach((probe) => void probe.commit()),
    }),
  };
};
