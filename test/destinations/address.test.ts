/** A receiver is called at the address that its team gave, and nothing is added to it: addresses end up in logs. */
import { HttpResponse, http } from "msw";
import { expect, it } from "vitest";
import { quiet } from "../support/inside.ts";
import { network } from "../support/network.ts";
import { makeScene } from "../support/scene.ts";

it("a webhook is pinged and sent its values at its own address", async () => {
  const scene = await makeScene();
  const hook = await scene.webhook("hook");
  const addresses: string[] = [];
  network.use(
    http.post(hook.url, ({ request }) => {
      addresses.push(request.url);
      return new HttpResponse(null, { status: 204 });
    }),
  );
  await scene.key({ destinations: ["hook"] });
  await scene.rotate();
  await quiet(scene);
  expect(addresses.length).toBeGreaterThanOrEqual(3);
  expect(new Set(addresses)).toEqual(new Set([hook.url]));
});
