/** Every tool, in the order in which agents see them: what changes values, then what looks. */
import type { Tool } from "../tool.ts";
import { acknowledgeDelivery } from "./acknowledge-delivery.ts";
import { createApiKey } from "./create-api-key.ts";
import { extendGracePeriod } from "./extend-grace-period.ts";
import { finishGracePeriod } from "./finish-grace-period.ts";
import { getApiKey } from "./get-api-key.ts";
import { getRotation } from "./get-rotation.ts";
import { getStatus } from "./get-status.ts";
import { listApiKeys } from "./list-api-keys.ts";
import { listEvents } from "./list-events.ts";
import { reportCompromisedKey } from "./report-compromised-key.ts";
import { revokeApiKey } from "./revoke-api-key.ts";
import { rollbackKey } from "./rollback-key.ts";
import { rotateApiKey } from "./rotate-api-key.ts";
import { verifyApiKey } from "./verify-api-key.ts";

export const TOOLS: readonly Tool[] = [
  rotateApiKey,
  revokeApiKey,
  createApiKey,
  listApiKeys,
  getApiKey,
  getRotation,
  extendGracePeriod,
  finishGracePeriod,
  rollbackKey,
  acknowledgeDelivery,
  reportCompromisedKey,
  verifyApiKey,
  listEvents,
  getStatus,
];

/** The tools that a caller may use: one whose scope it lacks would only refuse. */
export function toolsFor(scopes: readonly string[]): Tool[] {
  return TOOLS.filter(({ scope }) => scopes.includes(scope));
}
