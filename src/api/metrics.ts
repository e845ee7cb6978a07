/** /metrics: one keyring in the text of OpenMetrics. No label names a key, and nothing is said of any value. */
import { createRoute, type OpenAPIHono, z } from "@hono/zod-openapi";
import type { Metrics, Quantiles } from "../keyring/operations/metrics.ts";
import { onKeyring } from "./auth.ts";
import { type Family, OPENMETRICS, renderFamilies, type Sample } from "./openmetrics.ts";
import { problems, security } from "./schemas.ts";

const HEALTHS = ["healthy", "degraded", "failing"] as const;

const read = createRoute({
  method: "get",
  path: "/metrics",
  summary: "Read the keyring's metrics as OpenMetrics text",
  tags: ["status"],
  security,
  responses: {
    200: { description: "The metrics", content: { [OPENMETRICS]: { schema: z.string() } } },
    ...problems,
  },
});

export function addMetrics(app: OpenAPIHono<{ Bindings: Env }>): void {
  app.openapi(read, async (c) => {
    const metrics = await onKeyring(c, (keyring, call) => keyring.readMetrics(call));
    return c.body(renderFamilies(familiesOf(metrics)), 200, { "content-type": OPENMETRICS });
  });
}

function familiesOf(metrics: Metrics): Family[] {
  const { lastCronAt } = metrics;
  return [
    gauge("rekey_keys", "Keys by state, deleted ones left out.", by("state", metrics.keys)),
    gauge("rekey_keys_overdue", "Keys whose rotation is due for an hour or longer and was not started.", [
      { value: metrics.keysOverdue },
    ]),
    summary(
      "rekey_key_age_seconds",
      "Age of current versions since they were issued. Exact up to 1,000 keys, deleted ones counted; beyond that of a random sample of a sixth of them, up to 1,000.",
      metrics.keyAge,
    ),
    gauge("rekey_key_rotation_failures", "Keys whose last rotation failed.", [
      { value: metrics.keyRotationFailures },
    ]),
    gauge(
      "rekey_person_asked",
      "What only a person can do and is asked for: a new value, or the end of an old one.",
      by("what", metrics.personAsked),
    ),
    gauge("rekey_rotations_live", "Live rotations by state.", by("state", metrics.rotationsLive)),
    gauge(
      "rekey_rotations_last_day",
      "Rotations that began in the last 24 hours and are over, by result; of the newest 10,000.",
      by("result", metrics.rotationsLastDay),
    ),
    summary(
      "rekey_delivery_lag_seconds",
      "From making a delivery to its arrival, of those made in the last hour that arrived; of the newest 1,000.",
      metrics.deliveryLag,
    ),
    gauge(
      "rekey_deliveries",
      "Deliveries on their way (pending) or given up (failing).",
      by("state", metrics.deliveries),
    ),
    gauge("rekey_versions_in_grace", "Old versions that still work.", [{ value: metrics.versionsInGrace }]),
    gauge("rekey_grace_held", "Old versions whose grace is held beyond its time by revokeWhen.", [
      { value: metrics.gracesHeld },
    ]),
    gauge("rekey_versions_revoking", "Versions being revoked and not seen dead yet.", [
      { value: metrics.versionsRevoking },
    ]),
    gauge(
      "rekey_health",
      "1 for how the keyring is, 0 for the others.",
      HEALTHS.map((health) => ({ labels: { health }, value: health === metrics.health ? 1 : 0 })),
    ),
    {
      name: "rekey_last_cron_timestamp_seconds",
      type: "gauge",
      unit: "seconds",
      help: "When cron came last, up to five minutes behind; no sample when it never did or is not known.",
      samples: typeof lastCronAt === "number" ? [{ value: lastCronAt / 1000 }] : [],
    },
    gauge("rekey_hold", "1 while scheduled rotations are on hold.", [{ value: metrics.hold ? 1 : 0 }]),
  ];
}

function gauge(name: string, help: string, samples: readonly Sample[]): Family {
  return { name, type: "gauge", help, samples };
}

function summary(name: string, help: string, quantiles: Quantiles): Family {
  const samples = quantiles.map(({ quantile, seconds }) => ({
    labels: { quantile: String(quantile) },
    value: seconds,
  }));
  return { name, type: "summary", unit: "seconds", help, samples };
}

function by(label: string, counts: Record<string, number>): Sample[] {
  return Object.entries(counts).map(([name, value]) => ({ labels: { [label]: name }, value }));
}
