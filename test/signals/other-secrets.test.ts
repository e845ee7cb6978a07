/** Secrets that are no keys: what is said when one of them leaks, and how it is changed. */
import { runInDurableObject } from "cloudflare:test";
import { http } from "msw";
import { Webhook } from "standardwebhooks";
import { describe, expect, it } from "vitest";
import type { CompromiseView } from "../../src/keyring/compromise-view.ts";
import { pass } from "../support/clock.ts";
import { eventually } from "../support/eventually.ts";
import { quiet, ring, stubOf } from "../support/inside.ts";
import { network } from "../support/network.ts";
import type { Message } from "../support/receiver.ts";
import { makeScene, type Scene } from "../support/scene.ts";
import { reports, setUp } from "./support.ts";

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
    const { id: reported, items, leaks } = await report(scene, CREDENTIAL);
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
    const read = () => scene.must<CompromiseView>("GET", `/v1/compromises/${reported}`);
    expect(await read()).toMatchObject({ state: "open", open: 1 });
    expect(await reports(scene)).toMatchObject([{ state: "open", open: 1 }]);
    await scene.must("PATCH", "/v1/connections/mail", {
      credential: { secret: "sg_admin_key_that_came_after_it" },
    });
    expect(await read()).toMatchObject({ state: "closed", open: 0, items: [{ action: "asked", todo: [] }] });
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
    const { id: reported, items } = await report(scene, hook.signingSecret);
    const stateOf = async () =>
      (await scene.must<CompromiseView>("GET", `/v1/compromises/${reported}`)).state;
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
    // While the old one counts, it can be misused.
    expect(await stateOf()).toBe("open");
    pass("25h");
    // Its time is over, whether or not anybody has written the list without it.
    expect(await stateOf()).toBe("closed");
    expect((await report(scene, hook.signingSecret)).leaks).toBe(0);
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
    const { id: reported, items, state } = await report(scene, hook.claimToken);
    expect(state).toBe("open");
    expect(items).toMatchObject([{ kind: "claim-token", subject: id, action: "asked" }]);
    const body = { rotateClaimToken: true };
    const { claimToken } = await scene.must<{ claimToken: string }>("PATCH", `/v1/destinations/${id}`, body);
    expect(await scene.must("GET", `/v1/compromises/${reported}`)).toMatchObject({ state: "closed" });
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

  it("is cut from the words about whatever else the same report names", async () => {
    const scene = await makeScene();
    await connect(scene);
    const { secret } = await scene.key({});
    const signer = await setUp(scene, "gitguardian");
    const url = `https://paste.example/?also=${CREDENTIAL}`;
    await runInDurableObject(stubOf(scene), (object) => {
      const leaked = [secret, CREDENTIAL, signer].map((one) => ({
        leaked: { secret: one },
        source: one,
        url,
      }));
      object.acceptSignal({ source: "standard", body: "signed", items: leaked });
    });
    const kept = await eventually(async () => {
      const [one] = await reports(scene);
      const body = await scene.must<CompromiseView>("GET", `/v1/compromises/${one?.id}`);
      expect(body.items).toHaveLength(3);
      expect(body.items.every(({ action }) => action !== null)).toBe(true);
      return JSON.stringify([body, await scene.events()]);
    });
    for (const one of [secret, CREDENTIAL, signer]) expect(kept).not.toContain(one);
    expect(kept).toContain("https://paste.example/?also=[value]");
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
