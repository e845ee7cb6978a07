/** The HTTP surface: middleware, routes, one error boundary. */
import { OpenAPIHono } from "@hono/zod-openapi";
import type { HonoRequest } from "hono";
import { bodyLimit } from "hono/body-limit";
import { HTTPException } from "hono/http-exception";
import { readCredential } from "./api/auth.ts";
import { addBatches } from "./api/batches.ts";
import { addClaims } from "./api/claims.ts";
import { addCompromises } from "./api/compromises.ts";
import { addConnections } from "./api/connections.ts";
import { addDeliveries } from "./api/deliveries.ts";
import { addDestinations } from "./api/destinations.ts";
import { describeApp } from "./api/document.ts";
import { addEvents } from "./api/events.ts";
import { addHealth } from "./api/health.ts";
import { addKeyrings } from "./api/keyrings.ts";
import { addKeys } from "./api/keys.ts";
import { addMasterKeys } from "./api/master-keys.ts";
import { addMetrics } from "./api/metrics.ts";
import { addPolicies } from "./api/policies.ts";
import { Problem, respondWith } from "./api/problem.ts";
import { addRotations } from "./api/rotations.ts";
import { addSettings } from "./api/settings.ts";
import { addSignalSettings } from "./api/signals.ts";
import { addStatus } from "./api/status.ts";
import { addSubscriptions } from "./api/subscriptions.ts";
import { addTransfer, isStreamed } from "./api/transfer.ts";
import { addVerify } from "./api/verify.ts";
import { addVersions } from "./api/versions.ts";
import { fieldErrorsOf } from "./errors/fields.ts";
import { addMcp } from "./mcp/route.ts";
import { addSignals } from "./signals/routes.ts";

const MAX_BODY_BYTES = 64 * 1024;
/** A report of a leak; a few kilobytes, or, from GitHub's partner programme, 10,000 leaked values. */
const MAX_REPORT_BYTES = 256 * 1024;
const MAX_BATCH_BYTES = 5 * 1024 * 1024;

function isShort(request: HonoRequest): boolean {
  const length = Number(request.header("content-length") ?? Number.NaN);
  return length <= MAX_BODY_BYTES && request.header("transfer-encoding") === undefined;
}

/** The application, without any binding: those come with each request. */
export function createApp(): OpenAPIHono<{ Bindings: Env }> {
  const app = new OpenAPIHono<{ Bindings: Env }>({
    defaultHook: (result, c) => {
      if (result.success) return undefined;
      return respondWith(c, { code: "invalid", errors: fieldErrorsOf(result.error.issues) });
    },
  });

  app.use((c, next) => {
    // Before there is an answer: each header set after that would make a new answer, and a stream of its body.
    c.header("cache-control", "no-store");
    c.header("x-content-type-options", "nosniff");
    return next();
  });
  const atMost = (maxSize: number) =>
    bodyLimit({ maxSize, onError: (c) => respondWith(c, { code: "body-too-large" }) });
  const limit = atMost(MAX_BODY_BYTES);
  const reportLimit = atMost(MAX_REPORT_BYTES);
  const batchLimit = atMost(MAX_BATCH_BYTES);
  // A length that is stated is kept to. Looking at the body, as the limit does even then, makes a stream of it.
  app.use((c, next) => {
    if (isStreamed(c) || isShort(c.req)) return next();
    if (!c.req.path.startsWith("/hooks/")) return limit(c, next);
    return (c.req.header("github-public-key-signature") === undefined ? reportLimit : batchLimit)(c, next);
  });

  // Who sends no credential hears so, whatever else is wrong with the request.
  app.use("/v1/*", async (c, next) => {
    readCredential(c);
    await next();
  });

  addHealth(app);
  addKeyrings(app);
  addMasterKeys(app);
  addTransfer(app);
  addKeys(app);
  addRotations(app);
  addBatches(app);
  addVersions(app);
  addDeliveries(app);
  addClaims(app);
  addConnections(app);
  addDestinations(app);
  addPolicies(app);
  addCompromises(app);
  addSignalSettings(app);
  addSignals(app);
  addSettings(app);
  addVerify(app);
  addEvents(app);
  addSubscriptions(app);
  addStatus(app);
  addMetrics(app);
  addMcp(app);

  app.openAPIRegistry.registerComponent("securitySchemes", "bearer", {
    type: "http",
    scheme: "bearer",
    description: "An access key, or ROOT_TOKEN with the header Rekey-Keyring.",
  });
  app.get("/openapi.json", (c) => c.json(describeApp(app)));

  app.notFound((c) => respondWith(c, { code: "route-unknown" }));
  app.onError((error, c) => {
    if (error instanceof Problem) return respondWith(c, error.failure);
    // 415 is what the validator says of a body that does not claim to be JSON.
    if (error instanceof HTTPException && (error.status === 400 || error.status === 415))
      return respondWith(c, { code: "malformed-json" });
    const instance = crypto.randomUUID();
    console.error(JSON.stringify({ level: "error", code: "internal", name: error.name, instance }));
    return respondWith(c, { code: "internal" }, instance);
  });
  return app;
}
