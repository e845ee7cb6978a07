/** No destination points to a private place, however its address is spelled, and none is led to one by a redirect. */
import { HttpResponse, http } from "msw";
import { beforeAll, describe, expect, it } from "vitest";
import { network } from "../support/network.ts";
import { expectInvalid, type Furnished, furnish, snapshot } from "./fixtures.ts";

let ring: Furnished;
beforeAll(async () => {
  ring = await furnish();
  const body = {
    name: "hook",
    type: "webhook",
    config: { url: "https://hooks.acme.dev/rekey", secretMode: "none" },
  };
  expect((await ring.call("POST", "/v1/destinations", { body })).status).toBe(201);
});

const REFUSED = [
  "http://hooks.acme.dev/",
  "ftp://hooks.acme.dev/",
  "javascript:alert(1)",
  "data:text/plain,x",
  "//hooks.acme.dev/",
  "hooks.acme.dev",
  "",
  "https://",
  "https://hooks.acme.dev:8443/",
  "https://hooks.acme.dev:80/",
  "https://user@hooks.acme.dev/",
  "https://user:password@hooks.acme.dev/",
  "https://:password@hooks.acme.dev/",
  "https://hooks.acme.dev@127.0.0.1/",
  "https://127.0.0.1/",
  "https://127.1/",
  "https://127.0.0.1./",
  "https://127.0.0.1../",
  "https://0x7f000001/",
  "https://0x7f.0.0.1/",
  "https://0177.0.0.1/",
  "https://2130706433/",
  "https://0/",
  "https://①②⑦.0.0.1/",
  "https://127。0。0。1/",
  "https://10.0.0.1/",
  "https://169.254.169.254/latest/meta-data/",
  "https://8.8.8.8/",
  "https://[::1]/",
  "https://[::]/",
  "https://[::ffff:127.0.0.1]/",
  "https://[::ffff:7f00:1]/",
  "https://[fd00::1]/",
  "https://[2001:4860:4860::8888]/",
  "https://localhost/",
  "https://LOCALHOST/",
  "https://localhost./",
  "https://localhost../",
  "https://foo.localhost/",
  "https://foo.localhost./",
  "https://localhost.localdomain/",
  "https://%6c%6f%63%61%6c%68%6f%73%74/",
  "https://local\u00adhost/",
  "https://ｌｏｃａｌｈｏｓｔ/",
  "https://foo.internal/",
  "https://metadata.google.internal/",
  "https://foo.INTERNAL./",
  "https://printer.local/",
  "https://wiki.corp/",
  "https://nas.home.arpa/",
  "https://1.0.0.127.in-addr.arpa/",
  "https://router.lan/",
  "https://foo.test/",
  "https://foo.example/",
  "https://foo.invalid/",
  "https://abc.onion/",
  "https://intranet/",
  "https://intranet./",
  "https://com/",
  `https://hooks.acme.dev/${"x".repeat(2_048)}`,
];

describe.each(REFUSED)("%s", (url) => {
  it("is refused as a new destination and as a change of one, and nothing changes", async () => {
    const before = await snapshot(ring);
    const config = { url, secretMode: "plain" };
    const made = await ring.call("POST", "/v1/destinations", {
      body: { name: "bad", type: "webhook", config },
    });
    expectInvalid(made, "config.url");
    expectInvalid(await ring.call("PATCH", "/v1/destinations/hook", { body: { config } }), "config.url");
    expect(await snapshot(ring)).toEqual(before);
  });
});

describe("a redirect", () => {
  it.each([301, 302, 303, 307, 308])("with status %i is a failure and is not followed", async (status) => {
    const asked: string[] = [];
    network.use(
      http.all("https://*", ({ request }) => {
        asked.push(`${request.method} ${request.url}`);
        return new HttpResponse(null, { status, headers: { location: "https://evil.acme.dev/steal" } });
      }),
    );
    const tested = await ring.call("POST", "/v1/destinations/hook/test");
    expect(tested).toMatchObject({
      status: 200,
      body: {
        ok: false,
        call: { method: "POST", host: "hooks.acme.dev", status, code: "status" },
        destination: { state: "unproven" },
      },
    });
    expect(asked).toEqual(["POST https://hooks.acme.dev/rekey"]);
  });
});
