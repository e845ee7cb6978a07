/** What a receiver answers goes nowhere: no answer of ours, no event, no row, no log. Its status is shown. */
import { HttpResponse, http } from "msw";
import { expect, it, vi } from "vitest";
import { readTables } from "../api/fixtures.ts";
import { quiet } from "../support/inside.ts";
import { network } from "../support/network.ts";
import { makeScene } from "../support/scene.ts";

const CANARY = "canary-of-an-answer";

it.each([200, 400, 401, 410, 500])(
  "the body of an answer of %i is kept, shown and logged nowhere",
  async (status) => {
    const scene = await makeScene();
    const hook = await scene.webhook("hook");
    await scene.key({ destinations: ["hook"], policy: { deliverWithin: "1h" } });
    const logged: string[] = [];
    for (const method of ["log", "info", "warn", "debug"] as const) {
      vi.spyOn(console, method).mockImplementation((...words: unknown[]) => {
        logged.push(words.map(String).join(" "));
      });
    }
    const answers: string[] = [];
    network.use(
      http.post(hook.url, async ({ request }) => {
        const { type } = (await request.json()) as { type: string };
        answers.push(type);
        return HttpResponse.text(`{"error":"${CANARY}"}`, { status: type === "ping" ? 204 : status });
      }),
    );
    await scene.rotate();
    await quiet(scene);
    expect(answers).toContain("key.version.ready");
    const delivery = (await scene.deliveries()).find(({ version }) => version === 2);
    expect(delivery?.lastCall).toMatchObject({ status, code: status === 200 ? "ok" : "status" });
    const shown = [
      await scene.read(),
      await scene.rotations(),
      await scene.deliveries(),
      await scene.destination("hook"),
      await scene.events(),
    ];
    expect(JSON.stringify([shown, await readTables(scene.keyring), logged])).not.toContain(CANARY);
  },
);
