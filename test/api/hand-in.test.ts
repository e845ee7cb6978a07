/** A key whose value is lost takes one by hand. */
import { describe, expect, it } from "vitest";
import { SCOPES } from "../../src/keyring/scopes.ts";
import { quiet } from "../support/inside.ts";
import { makeScene } from "../support/scene.ts";
import {
  callAs,
  expectInvalid,
  expectProblem,
  furnish,
  makeAccessKey,
  makeLostKey,
  settle,
  snapshot,
} from "./fixtures.ts";

const VALUE = "a-value-made-by-hand";
const body = { fields: { secret: VALUE } };

describe("PUT /v1/keys/{key}/value", () => {
  it("tests the value, delivers it and makes it current: the key is kept young again", async () => {
    const scene = await makeScene();
    const hook = await scene.webhook("hook");
    await makeLostKey(scene.keyring, "billing", {
      destinations: [{ id: "hook" }],
      policy: { maxAge: "30d" },
    });
    expect(await scene.read()).toMatchObject({ state: "lost", currentVersion: null, nextRotationAt: null });
    const answer = await scene.keyring.call<{ rotation: { state: string } }>(
      "PUT",
      "/v1/keys/billing/value?wait=10s",
      { body },
    );
    expect(answer).toMatchObject({ status: 200, body: { rotation: { state: "succeeded", toVersion: 2 } } });
    expect(JSON.stringify(answer.body)).not.toContain(VALUE);
    await quiet(scene);
    expect(hook.secret).toBe(VALUE);
    expect(await scene.verdict(VALUE)).toBe("valid");
    const key = await scene.read();
    expect(key).toMatchObject({ state: "active", currentVersion: 2 });
    expect(key.nextRotationAt).not.toBeNull();
  });

  it("answers 202 at once when it is not asked to wait, and no rotation by hand goes beside it", async () => {
    const scene = await makeScene();
    const hook = await scene.webhook("hook");
    await makeLostKey(scene.keyring, "billing", { destinations: [{ id: "hook" }] });
    const release = hook.hold();
    const answer = await scene.keyring.call("PUT", "/v1/keys/billing/value", { body });
    expect(answer).toMatchObject({ status: 202, body: { rotation: { live: true, fromVersion: null } } });
    expectProblem(await scene.keyring.call("PUT", "/v1/keys/billing/value", { body }), 409, "not-awaited");
    release();
    await quiet(scene);
    expect(await scene.stages()).toEqual(["revoked", "current"]);
  });

  it("is refused for a key that has a value, and nothing changes", async () => {
    const ring = await furnish();
    const before = await snapshot(ring);
    expectProblem(await ring.call("PUT", "/v1/keys/billing/value", { body }), 409, "not-awaited");
    expect(await snapshot(ring)).toEqual(before);
  });

  it("refuses what has the form of an issued key, what is kept already, and a reference where none goes", async () => {
    const ring = await furnish();
    await makeLostKey(ring, "lost");
    const { secret } = await makeAccessKey(ring, ["keys:read"]);
    const put = (value: object) => ring.call("PUT", "/v1/keys/lost/value", { body: value });
    expectInvalid(await put({ fields: { secret } }), "fields.secret");
    expectInvalid(await put({ ...body, reference: "ref" }), "reference");
    expectInvalid(await put({ fields: { secret: "short" } }), "fields.secret");
    expectInvalid(await put({}), "fields");
    await ring.call("POST", "/v1/keys", { body: { name: "other", provider: "issuer", ...body } });
    expectInvalid(await put(body), "fields.secret");
  });

  it("is refused to who may do less than the key", async () => {
    const ring = await furnish();
    const { call } = await makeAccessKey(ring, ["keys:write"]);
    await makeLostKey(ring, "door", { provider: "access", scopes: ["keys:reveal"] });
    expectProblem(await call("PUT", "/v1/keys/door/value", { body }), 403, "scope-exceeded");
  });

  it("is refused during the caller's cooldown, to its new value and to its old one, and nothing changes", async () => {
    const ring = await furnish();
    await makeLostKey(ring, "lost");
    const { name, call: withOld } = await makeAccessKey(ring, SCOPES);
    const rotated = await withOld<{ secret: string }>("POST", `/v1/keys/${name}/rotate?wait=10s`, {
      body: { reveal: "inline" },
    });
    const withNew = callAs(rotated.body.secret);
    await settle(ring);
    const before = await snapshot(ring);
    for (const call of [withOld, withNew]) {
      const refused = expectProblem(
        await call("PUT", "/v1/keys/lost/value", { body }),
        409,
        "caller-cooldown",
      );
      expect(Date.parse(refused.retryAt ?? "")).toBeGreaterThan(Date.now());
    }
    expect(await snapshot(ring)).toEqual(before);
    expect((await ring.call("PUT", "/v1/keys/lost/value?wait=10s", { body })).status).toBe(200);
  });

  it("is what a rotation by hand of such a key asks for", async () => {
    const ring = await furnish();
    await makeLostKey(ring, "lost");
    const problem = expectProblem(
      await ring.call("POST", "/v1/keys/lost/rotate", { body: {} }),
      409,
      "key-lost",
    );
    expect(problem.remedy).toContain("PUT /v1/keys/{key}/value");
  });
});
