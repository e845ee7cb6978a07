/** The pages about destinations: they are what the code says, and each of their examples works as it stands. */
import { HttpResponse, http } from "msw";
import { describe, expect, it } from "vitest";
import { renderDestinationPage } from "../../src/destinations/page.ts";
import { DESTINATION_TYPES, DESTINATIONS } from "../../src/destinations/registry.ts";
import { makeKey, settle } from "../api/fixtures.ts";
import { makeKeyring } from "../support/api.ts";
import { serveCloudflare } from "../support/cloudflare.ts";
import { network } from "../support/network.ts";
import { requestsOf } from "./examples.ts";

const pages = import.meta.glob<string>("../../docs/destinations/*.md", {
  query: "?raw",
  import: "default",
  eager: true,
});

it("there is a page for each type, and none for anything else", () => {
  const types = Object.keys(pages).map((path) => path.split("/").at(-1)?.replace(".md", ""));
  expect(types.sort()).toEqual([...DESTINATION_TYPES].sort());
});

describe.each(DESTINATION_TYPES)("the page of %s", (type) => {
  const page = pages[`../../docs/destinations/${type}.md`] ?? "";

  it("is what `npm run docs` makes of the code, with every setting described", () => {
    expect(page).toBe(renderDestinationPage(DESTINATIONS[type]));
    expect(page).not.toMatch(/\|\s*\|$/m);
  });

  it("has an example that works, and receives a value", async () => {
    const { connection } = serveCloudflare();
    network.use(http.post("https://hooks.acme.dev/rekey", () => new HttpResponse(null, { status: 204 })));
    const ring = await makeKeyring();
    await ring.call("POST", "/v1/connections", {
      body: { name: "cloudflare", provider: "cloudflare", ...connection },
    });
    const [example] = requestsOf(page);
    const made = await ring.call("POST", "/v1/destinations", { body: example?.body });
    expect(made.status).toBe(201);
    expect((await ring.call("POST", `/v1/destinations/${type}/test`)).body).toMatchObject({ ok: true });
    await makeKey(ring, "billing", { destinations: [{ id: type, required: true }] });
    await settle(ring);
    const { body } = await ring.call("GET", "/v1/deliveries");
    // A claim is delivered once it was opened.
    expect(body.items).toMatchObject([{ lastCall: { code: "ok" } }]);
  });
});
