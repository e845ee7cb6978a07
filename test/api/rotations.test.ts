/** What rotations and deliveries look like from outside. */
import { HttpResponse, http } from "msw";
import { describe, expect, it } from "vitest";
import { makeKeyring } from "../support/api.ts";
import { eventually } from "../support/eventually.ts";
import { network } from "../support/network.ts";
import { expectProblem, furnish, makeKey } from "./fixtures.ts";

const URL_OUT = "https://hooks.acme.dev/rekey";

describe("a rotation", () => {
  it("shows its key, why and by whom it was started, where it stands and what it delivered", async () => {
    const ring = await furnish();
    const { status, body } = await ring.call("GET", `/v1/rotations/${ring.rotation}`);
    expect(status).toBe(200);
    expect(body).toEqual({
      id: ring.rotation,
      key: ring.key,
      trigger: "manual",
      reason: null,
      requestedBy: "root",
      live: false,
      batch: null,
      state: "succeeded",
      step: "done",
      rollback: false,
      fromVersion: 1,
      toVersion: 2,
      attempts: 0,
      problem: null,
      waitsFor: null,
      remedy: null,
      lastCall: null,
      nextTryAt: null,
      startedAt: expect.any(String),
      deadlineAt: expect.any(String),
      endedAt: expect.any(String),
      deliveries: [
        {
          id: expect.stringMatching(/^dlv_[0-9a-z]{26}$/),
          key: ring.key,
          version: 2,
          revision: 2,
          rotation: ring.rotation,
          destination: ring.destination,
          as: "billing",
          required: true,
          mustAcknowledge: false,
          state: "delivered",
          attempts: 0,
          lastCall: { method: "PUT", host: "KEYS", status: null, code: "ok", at: expect.any(String) },
          nextTryAt: null,
          createdAt: expect.any(String),
          deliveredAt: expect.any(String),
          acknowledgedAt: null,
        },
      ],
    });
  });

  it("that waits says for what, the last call without its body, and when it tries again", async () => {
    const ring = await makeKeyring();
    network.use(http.post(URL_OUT, () => HttpResponse.text("canary-in-a-body", { status: 503 })));
    const config = { url: `${URL_OUT}`, secretMode: "plain" };
    await ring.call("POST", "/v1/destinations", { body: { name: "hook", type: "webhook", config } });
    await makeKey(ring, "billing", { destinations: [{ id: "hook" }], policy: { deliverWithin: "1h" } });
    const begun = await ring.call<{ rotation: { id: string } }>("POST", "/v1/keys/billing/rotate", {
      body: {},
    });
    const path = `/v1/rotations/${begun.body.rotation.id}`;
    const { body } = await eventually(async () => {
      const answer = await ring.call("GET", path);
      expect(answer.body).toMatchObject({ state: "blocked" });
      return answer;
    });
    expect(body).toMatchObject({
      live: true,
      step: "preflight",
      attempts: 1,
      problem: "hook: hooks.acme.dev answered 503",
      lastCall: { method: "POST", host: "hooks.acme.dev", status: 503, code: "status" },
      nextTryAt: expect.any(String),
      endedAt: null,
    });
    // The first wait of the backoff table, with its jitter.
    const { nextTryAt, lastCall } = body as { nextTryAt: string; lastCall: { at: string } };
    expect(Date.parse(nextTryAt) - Date.parse(lastCall.at)).toBeGreaterThanOrEqual(5_000);
    expect(Date.parse(nextTryAt) - Date.parse(lastCall.at)).toBeLessThan(8_000);
    expect(Date.parse(String(body.deadlineAt)) - Date.parse(String(body.startedAt))).toBe(3_600_000);
    expect(JSON.stringify(body)).not.toContain("canary");
    expect((await ring.call("GET", "/v1/keys/billing")).body.rotation).toBe(begun.body.rotation.id);
    await ring.call("DELETE", "/v1/keys/billing");
    expect((await ring.call("GET", path)).body).toMatchObject({
      live: false,
      state: "cancelled",
      nextTryAt: null,
    });
  });
});

describe("the lists of rotations and deliveries", () => {
  it("have the newest first, and only those of a key when one is named, by id or name", async () => {
    const ring = await furnish();
    await makeKey(ring, "other", { destinations: [{ id: "spare" }] });
    await ring.call("POST", "/v1/keys/other/rotate?wait=10s", { body: {} });
    for (const [list, all] of [
      ["rotations", 2],
      ["deliveries", 4],
    ] as const) {
      const ids = async (query: string) => {
        const { body } = await ring.call<{ items: { id: string; key: string }[] }>(
          "GET",
          `/v1/${list}${query}`,
        );
        return body.items;
      };
      const items = await ids("");
      expect(items).toHaveLength(all);
      expect(items.map(({ id }) => id)).toEqual(
        items
          .map(({ id }) => id)
          .sort()
          .reverse(),
      );
      const own = items.filter(({ key }) => key === ring.key);
      expect(own).toHaveLength(all / 2);
      expect(await ids("?key=billing")).toEqual(own);
      expect(await ids(`?key=${ring.key}`)).toEqual(own);
    }
  });

  it("of a key that does not exist are not found", async () => {
    const ring = await furnish();
    for (const list of ["rotations", "deliveries"]) {
      expectProblem(await ring.call("GET", `/v1/${list}?key=nothing`), 404, "not-found");
    }
  });
});
