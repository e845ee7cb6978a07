/** What opens an account at a service is kept sealed, in every revision of its connection. */
import { expect, it } from "vitest";
import { changeConnection } from "../../src/rotation/connections.ts";
import { open } from "./scene.ts";

it("the credential of a connection is in no row as it is", async () => {
  const run = open({ overlap: "ours", find: true, connects: true, tellsAccount: true }, () => undefined);
  const secret = "canary-of-an-admin";
  run.service.admins.get("main")?.add(secret);
  const changing = run.simulator.perform((context) =>
    changeConnection(context, "root", "main", { credential: { fields: { secret } } }),
  );
  await run.simulator.runFor(1_000);
  expect(await changing).toMatchObject({ ok: true });
  const row = run.simulator.store.connections.revision("con_main", 2);
  expect(row?.sealed?.byteLength).toBeGreaterThan(secret.length);
  const events = run.simulator.store.events.page({}, Infinity, 100).rows;
  const kept = JSON.stringify([run.simulator.store.connections.get("con_main"), row, events]);
  expect(Buffer.from(row?.sealed ?? []).toString("latin1") + kept).not.toContain(secret);
});
