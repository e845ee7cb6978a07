/** The receiver of docs/receiving.md, at work. */
import { exports } from "cloudflare:workers";
import { http } from "msw";
import { describe, expect, it } from "vitest";
import { held, receive } from "../docs/receiver.example.ts";
import example from "../docs/receiver.example.ts?raw";
import page from "../docs/receiving.md?raw";
import { quiet } from "./support/inside.ts";
import { network } from "./support/network.ts";
import { makeScene } from "./support/scene.ts";

describe("docs/receiving.md", () => {
  it("shows the receiver that is tested here", () => {
    const [, shown] = /```ts\n([\s\S]*?)```/.exec(page) ?? [];
    expect(shown).toBe(example);
  });

  it("describes a receiver that verifies, claims and acknowledges, so that a rotation succeeds", async () => {
    network.use(
      http.post("https://rekey.test/*", async ({ request }) =>
        exports.default.fetch(request.url, {
          method: "POST",
          headers: Object.fromEntries(request.headers),
          body: await request.text(),
        }),
      ),
    );
    const scene = await makeScene();
    const hook = await scene.webhook("hook", { secretMode: "claim" });
    hook.answer(({ headers, raw }) =>
      receive(
        new Request(hook.url, { method: "POST", headers, body: raw }),
        hook.signingSecret,
        hook.claimToken,
      ),
    );
    const { secret } = await scene.key({ destinations: [{ id: "hook", mustAcknowledge: true }] });
    expect(held.get("billing")).toEqual({ secret, revision: 1 });
    const { id } = await scene.rotate();
    await quiet(scene);
    expect(await scene.rotation(id)).toMatchObject({
      state: "succeeded",
      deliveries: [{ state: "acknowledged" }],
    });
    const fresh = held.get("billing");
    expect(fresh?.revision).toBe(2);
    expect(fresh?.secret).not.toBe(secret);
    expect(await scene.verdict(fresh?.secret ?? "")).toBe("valid");

    const { headers = {}, raw = "" } = hook.deliveries[0] ?? {};
    const forged = raw.replace('"revision":1', '"revision":9');
    const answer = await receive(
      new Request(hook.url, { method: "POST", headers, body: forged }),
      hook.signingSecret,
      hook.claimToken,
    );
    expect(answer.status).toBe(401);
    expect(held.get("billing")).toEqual(fresh);
  });
});
