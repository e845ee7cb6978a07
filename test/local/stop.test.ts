import { describe, expect, it } from "vitest";
import {
  freePort,
  isFree,
  killOutright,
  makeFolder,
  runtimesOf,
  serve,
  signalGroup,
  start,
  until,
} from "./support.ts";

describe("npm start", () => {
  it("stops cleanly at Ctrl-C: exit code 0, no runtime left, the port free", async () => {
    const folder = makeFolder();
    const port = await freePort();
    const program = start("npm", ["start"], { REKEY_DATA: folder, PORT: String(port) });
    await program.printed(/Rekey runs at/);
    expect(runtimesOf(folder)).toHaveLength(1);
    expect(await isFree(port)).toBe(false);

    signalGroup(program, "SIGINT");
    expect(await program.ended).toBe(0);
    expect(program.output()).toContain("Rekey has stopped.");
    expect(runtimesOf(folder)).toEqual([]);
    expect(await isFree(port)).toBe(true);
  });

  it("stops while it is still starting", async () => {
    const folder = makeFolder();
    const program = start(process.execPath, ["src/local/serve.ts"], { REKEY_DATA: folder, PORT: "0" });
    await program.printed(/Root token/);
    signalGroup(program, "SIGINT");
    expect(await program.ended).toBe(0);
    expect(runtimesOf(folder)).toEqual([]);
  });

  it("refuses a folder that another one serves, and leaves that one alone", async () => {
    const folder = makeFolder();
    const first = await serve({ REKEY_DATA: folder });
    const second = start(process.execPath, ["src/local/serve.ts"], { REKEY_DATA: folder, PORT: "0" });
    expect(await second.ended).toBe(1);
    expect(second.output()).toContain(`another Rekey (process ${first.pid}) is running on`);
    expect((await fetch(`${first.origin}/healthz`)).status).toBe(200);
  });

  it("says so when its port is taken", async () => {
    const first = await serve({ REKEY_DATA: makeFolder() });
    const { port } = new URL(first.origin);
    const folder = makeFolder();
    const second = start(process.execPath, ["src/local/serve.ts"], { REKEY_DATA: folder, PORT: port });
    expect(await second.ended).toBe(1);
    expect(second.output()).toContain(`port ${port} of 127.0.0.1 is in use`);
    expect(runtimesOf(folder)).toEqual([]);
  });

  it("starts the runtime again when that crashes", async () => {
    const folder = makeFolder();
    const program = await serve({ REKEY_DATA: folder });
    const [before = 0] = runtimesOf(folder);
    killOutright(before);
    const status = await until(
      async () => (await fetch(`${program.origin}/healthz`).catch(() => undefined))?.status,
      10_000,
      () => "it never came back",
    );
    expect(status).toBe(200);
    expect(runtimesOf(folder)).not.toContain(before);
  });
});
