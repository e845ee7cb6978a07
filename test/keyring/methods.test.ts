/** What can be called on a keyring's object from outside: these methods, and nothing that they stand on. */
import { runInDurableObject } from "cloudflare:test";
import { DurableObject } from "cloudflare:workers";
import { expect, it } from "vitest";
import { Keyring } from "../../src/keyring/keyring.ts";
import { makeKeyring } from "../support/api.ts";
import { stubOf } from "../support/inside.ts";

const METHODS = [
  "abandonVersion",
  "acceptSignal",
  "acknowledgeDelivery",
  "addImport",
  "alarm",
  "beginExport",
  "beginImport",
  "changeBatch",
  "claimValue",
  "createBatch",
  "createConnection",
  "createDestination",
  "createKey",
  "createKeyRevealing",
  "createPolicy",
  "createSubscription",
  "deleteConnection",
  "deleteDestination",
  "deleteKey",
  "deletePolicy",
  "deleteSignal",
  "deleteSubscription",
  "describeKey",
  "dropImport",
  "endExport",
  "endImport",
  "extendGrace",
  "finishGrace",
  "getBatch",
  "getCompromise",
  "getConnection",
  "getDestination",
  "getKey",
  "getPolicy",
  "getRotation",
  "getSettings",
  "getSignal",
  "getStatus",
  "getSubscription",
  "handInValue",
  "holdRotations",
  "intervene",
  "listBatches",
  "listCompromises",
  "listConnections",
  "listDeliveries",
  "listDestinations",
  "listEvents",
  "listKeys",
  "listPolicies",
  "listRotations",
  "listSignals",
  "listSubscriptions",
  "make",
  "masterKey",
  "patchConnection",
  "patchDestination",
  "patchKey",
  "patchPolicy",
  "patchSettings",
  "patchSubscription",
  "planBatch",
  "planRotation",
  "readEvents",
  "readExport",
  "readMetrics",
  "reconcile",
  "release",
  "releaseRotations",
  "replayDeliveries",
  "replayDelivery",
  "replaySubscription",
  "reportCompromise",
  "revokeKey",
  "rollBackKey",
  "rotateKey",
  "setSignal",
  "signQuestion",
  "signalKeys",
  "testConnection",
  "testDestination",
  "testSubscription",
  "verify",
  "verifyEvents",
  "visit",
  "whoAmI",
];

/** Everything on the classes between an object and the platform's own. */
function namesOf(start: object): string[] {
  const names: string[] = [];
  for (let at = start; at !== DurableObject.prototype; at = Object.getPrototypeOf(at)) {
    names.push(...Object.getOwnPropertyNames(at));
  }
  return names.filter((name) => name !== "constructor").sort();
}

it("its classes have these methods, each once, and nothing else", () => {
  expect(namesOf(Keyring.prototype)).toEqual(METHODS);
});

it("an object has no property of its own but the platform's", async () => {
  const ring = await makeKeyring();
  const own = await runInDurableObject(stubOf(ring), (object) => Reflect.ownKeys(object));
  expect(own.filter((name) => name !== "ctx" && name !== "env")).toEqual([]);
});

it.each(["hostOf", "host", "#host", "ctx", "env", "constructor"])(
  "%s is nothing to be called",
  async (name) => {
    const ring = await makeKeyring();
    const stub = stubOf(ring) as unknown as Record<string, (object?: unknown) => Promise<unknown>>;
    await expect((async () => stub[name]?.({}))()).rejects.toThrow();
  },
);
