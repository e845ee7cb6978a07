/** Secrets that are no keys: what is said when one of them leaks, and how it is changed. */
import { http } from "msw";
import { Webhook } from "standardwebhooks";
import { describe, expect, it } from "vitest";
import type { CompromiseView } from "../../src/keyring/compromise-view.ts";
import { pass } from "../support/clock.ts";
import { quiet, ring } from "../support/inside.ts";
import { network } from "../support/network.ts";
import type { Message } from "../support/receiver.ts";
import { makeScene, type Scene } from "../support/scene.ts";

const report = (scene: Scene, secret: string) =>
  scene.must<CompromiseView>("POST", "/v1/compromises", { secret, source: "a public repository" });

const CREDENTIAL = "sg_admin_key_of_a_test_account";

/** Whether one of a message's signatures is by this secret. */
function isSigned(message: Message | undefined, secret: string): boolean {
  try {
    new Webhook(secret).verify(message?.raw ?? "", message?.headers ?? {});
    return true;
  } catch {
    return false;
  }
}

async function connect(scene: Scene): Promise<string> {
  network.use(http.get("https://api.sendgrid.com/v3/api_keys", () => Response.json({ result: [] })));
  const body = { name: "mail", provider: "sendgrid", credential: { secret: CREDENTIAL } };
  return (await scene.must<{ id: string }>("POST", "/v1/connections", body)).id;
}

describe("what leaked and is no key", () => {
  it("is the credential of a connection: an event says what a person does, and nothing stops meanwhile", async () => {
    const scene = await makeScene();
    const id = await connect(scene);
    const { items, leaks } = await report(scene, CREDENTIAL);
    expect(leaks).toBe(1);
    expect(items).toMatchObject([{ kind: "connection", subject: id, action: "asked", key: null }]);
    expect(items[0]?.todo).toEqual([expect.stringContaining(`PATCH /v1/connections/${id}`)]);
    const [event] = await scene.events("secret.compromised");
    expect(event?.data).toMatchObject({
      kind: "connection",
      subject: id,
      todo: expect.stringContaining(`PATCH /v1/connections/${id}`),
    });
    expect(JSON.stringify(event)).not.toContain(CREDENTIAL);
  });

  it("is not what a connection had before its credential was changed", async () => {
    const scene = await makeScene();
    await connect(scene);
    const credential = { secret: "sg_admin_key_that_came_after_it" };
    await scene.must("PATCH", "/v1/connections/mail", { credential });
    expect((await report(scene, CREDENTIAL)).leaks).toBe(0);
    expect((await report(scene, credential.secret)).leaks).toBe(1);
  });

  it("is the key that a connection is opened by: that is replaced like any other", async () => {
    const scene = await makeScene();
    await scene.kv("kv", { propagation: "0" });
    const { secret } = await scene.key({ name: "opener", destinations: ["kv"] });
    network.use(http.get("https://api.sendgrid.com/v3/api_keys", () => Response.json({ result: [] })));
    await scene.must("POST", "/v1/connections", {
      name: "mail",
      provider: "sendgrid",
      credential: { key: "opener" },
    });
    const { items } = await report(scene, secret);
    expect(items).toMatchObject([{ kind: "version", keyName: "opener", action: "started" }]);
  });

  it("is what signs a destination's messages: a new secret signs beside the old one for a day", async () => {
    const scene = await makeScene();
    const hook = await scene.webhook("hook");
    const { id: key } = await scene.key({ destinations: ["hook"], policy: { cooldown: "0" } });
    const { items } = await report(scene, hook.signingSecret);
    const { id } = await scene.destination("hook");
    expect(items).toMatchObject([{ kind: "destination", subject: id, action: "asked" }]);
    expect(items[0]?.todo[0]).toContain(`PATCH /v1/destinations/${id} {"rotateSecret":true}`);
    const changed = await scene.must<{ signingSecret: string; state: string }>(
      "PATCH",
      `/v1/destinations/${id}`,
      {
        rotateSecret: true,
      },
    );
    expect(changed.signingSecret).toMatch(/^whsec_/);
    // It is the same place: nothing has to be proven again.
    expect(changed.state).toBe("ready");
    const rotate = async () => {
      await scene.rotate(key);
      await quiet(scene);
      return hook.messages.at(-1);
    };
    const during = await rotate();
    expect([isSigned(during, hook.signingSecret), isSigned(during, changed.signingSecret)]).toEqual([
      true,
      true,
    ]);
    pass("25h");
    await ring(scene);
    const after = await rotate();
    expect([isSigned(after, hook.signingSecret), isSigned(after, changed.signingSecret)]).toEqual([
      false,
      true,
    ]);
    expect((await report(scene, changed.signingSecret)).items).toMatchObject([{ kind: "destination" }]);
  });

  it("is the token by which a destination claims: a new one takes its place at once", async () => {
    const scene = await makeScene();
    const hook = await scene.webhook("hook", { secretMode: "claim" });
    const { id } = await scene.destination("hook");
    const { items } = await report(scene, hook.claimToken);
    expect(items).toMatchObject([{ kind: "claim-token", subject: id, action: "asked" }]);
    const body = { rotateClaimToken: true };
    const { claimToken } = await scene.must<{ claimToken: string }>("PATCH", `/v1/destinations/${id}`, body);
    expect((await report(scene, hook.claimToken)).leaks).toBe(0);
    expect((await report(scene, claimToken)).items).toMatchObject([{ kind: "claim-token" }]);
  });

  it("is what signs a subscription's messages, or the address of a chat", async () => {
    const scene = await makeScene();
    const make = (body: object) =>
      scene.must<{ id: string; signingSecret?: string }>("POST", "/v1/subscriptions", {
        types: ["chain.broken"],
        ...body,
      });
    const url = "https://hooks.slack.com/services/T000/B000/fake-token-of-a-test";
    const ops = await make({ name: "ops", url: "https://ops.acme.dev/rekey" });
    const chat = await make({ name: "chat", url, format: "slack" });
    expect((await report(scene, ops.signingSecret ?? "")).items).toMatchObject([
      { kind: "subscription", subject: ops.id },
    ]);
    expect((await report(scene, url)).items).toMatchObject([{ kind: "subscription", subject: chat.id }]);
    // Where anything goes that is signed is no secret.
    expect((await report(scene, "https://ops.acme.dev/rekey")).leaks).toBe(0);
  });

  it("is what signs the reports themselves", async () => {
    const scene = await makeScene();
    const { secret } = await scene.must<{ secret: string }>("PUT", "/v1/signals/gitguardian", {});
    const { items } = await report(scene, secret);
    expect(items).toMatchObject([{ kind: "signal", subject: "gitguardian", action: "asked" }]);
    expect(items[0]?.todo[0]).toContain("DELETE /v1/signals/gitguardian");
  });

  it("refuses a new secret where nothing is signed or claimed", async () => {
    const scene = await makeScene();
    await scene.kv("kv");
    await scene.webhook("hook");
    for (const [name, body, path] of [
      ["kv", { rotateSecret: true }, "rotateSecret"],
      ["hook", { rotateClaimToken: true }, "rotateClaimToken"],
    ] as const) {
      const answer = await scene.keyring.call("PATCH", `/v1/destinations/${name}`, { body });
      expect(answer).toMatchObject({ status: 422, body: { errors: [{ path }] } });
    }
  });
});
