/** `npm run lab` as a person uses it: started, driven over HTTP, stopped. */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import type { Provider } from "../../src/providers/provider.ts";
import { PROVIDERS } from "../../src/providers/registry.ts";
import { LAB_FAULTS } from "../lab/services/fake.ts";
import { FAKES, STORES } from "../lab/services/registry.ts";
import {
  freePort,
  isFree,
  makeFolder,
  REPOSITORY,
  type Running,
  serve,
  signalGroup,
  start,
} from "./support.ts";

const credentialSchema = z.object({ secret: z.string(), reference: z.string() });
const stateSchema = z.object({
  journal: z.array(z.string()),
  broken: z.array(z.string()),
  credentials: z.array(credentialSchema.extend({ live: z.boolean() })),
});
const pointerSchema = z.object({
  address: z.string(),
  connection: z.looseObject({
    provider: z.string(),
    config: z.record(z.string(), z.unknown()),
    credential: z.record(z.string(), z.string()).optional(),
  }),
  key: z.record(z.string(), z.unknown()).optional(),
});

async function runLab(): Promise<{ program: Running; origin: string; port: number }> {
  const port = await freePort();
  const program = start("npm", ["run", "lab"], { LAB_PORT: String(port) });
  await program.printed(/Ctrl-C stops it/);
  return { program, origin: `http://127.0.0.1:${port}`, port };
}

async function control<Schema extends z.ZodType>(
  schema: Schema,
  origin: string,
  path: string,
  method = "GET",
  body?: unknown,
): Promise<z.output<Schema>> {
  const response = await fetch(`${origin}/control/${path}`, {
    method,
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  expect(response.status, path).toBe(200);
  return schema.parse(await response.json());
}

const stateOf = (origin: string, service = "bitscale") => control(stateSchema, origin, service);

/** Services that the provider `http` is told of. */
const DESCRIBED = ["resend", "neon", "spaces", "keeper", "relay"];

describe("npm run lab", () => {
  it("serves every fake below its own name, and says how a connection comes to each", async () => {
    const { program, origin } = await runLab();
    for (const name of [...Object.keys({ ...FAKES, ...STORES }), ...DESCRIBED]) {
      expect(program.output()).toContain(`${name} at ${origin}/${name}\n  POST /v1/connections {`);
      const pointer = await control(pointerSchema, origin, `${name}/begin`, "POST");
      const { provider, config } = pointer.connection;
      const shape = (PROVIDERS as Record<string, Provider>)[provider]?.connection;
      // A store may be of a provider that is not there yet.
      if (!shape) continue;
      const parsed = shape.config.parse(config);
      // A description is known by the origins alone.
      const below = DESCRIBED.includes(name) ? `${origin}/` : `${origin}/${name}`;
      for (const address of shape.addresses(parsed)) expect(address).toContain(below);
      expect(JSON.stringify(config)).toContain(`${origin}/${name}`);
    }
    expect(program.output()).toContain(`PRIVATE_ALLOWLIST=${new URL(origin).host} npm start`);
  });

  it("is the service: a key opens it, makes its successor, and dies of that; all of it is in the journal", async () => {
    const { origin } = await runLab();
    const { secret } = await control(credentialSchema, origin, "bitscale/credentials", "POST", {
      byPerson: false,
    });
    const ask = (path: string, key: string, init: RequestInit = {}) =>
      fetch(`${origin}/bitscale${path}`, { ...init, headers: { "x-api-key": key } });
    expect((await ask("/workspace", secret)).status).toBe(200);
    const rotated = await ask("/api-key/rotate", secret, { method: "POST", body: "{}" });
    const next = z.object({ api_key: z.string() }).parse(await rotated.json()).api_key;
    expect((await ask("/workspace", secret)).status).toBe(401);
    expect((await ask("/workspace", next)).status).toBe(200);
    const state = await stateOf(origin);
    expect(state.journal.slice(-4)).toEqual([
      "test GET /workspace 200",
      "mint POST /api-key/rotate 200",
      "test GET /workspace 401",
      "test GET /workspace 200",
    ]);
    expect(state.credentials.find((one) => one.secret === secret)).toMatchObject({ live: false });
    expect(state.credentials.find((one) => one.secret === next)).toMatchObject({ live: true });
    expect(state.broken).toEqual([]);
  });

  it("goes wrong as it was told, as often as it was told", async () => {
    const { origin } = await runLab();
    const { secret } = await control(credentialSchema, origin, "bitscale/credentials", "POST");
    const ask = async () => {
      const started = Date.now();
      const response = await fetch(`${origin}/bitscale/workspace`, {
        headers: { "x-api-key": secret },
      }).catch(() => undefined);
      const text = await response?.text();
      return {
        status: response?.status ?? "cut",
        text,
        took: Date.now() - started,
        headers: response?.headers,
      };
    };
    const seen: Record<string, string | number> = {};
    for (const fault of LAB_FAULTS) {
      await control(z.unknown(), origin, "bitscale/faults", "POST", { call: "test", fault, times: 1 });
      const { status, text, headers } = await ask();
      seen[fault] = status;
      if (fault === "rate-limited") expect(headers?.get("retry-after")).toBe("7");
      if (fault === "slow-body") expect(JSON.parse(text ?? "")).toHaveProperty("workspace");
      expect((await ask()).status, `after ${fault}`).toBe(200);
    }
    expect(seen).toEqual({
      latency: 200,
      "rate-limited": 429,
      "error-before": 503,
      "error-after": 502,
      "cut-before": "cut",
      "cut-after": "cut",
      garbage: 200,
      "slow-body": 200,
      expired: 401,
    });
  });

  it("is as late as it was told, at the call it was told of", async () => {
    const { origin } = await runLab();
    const { secret } = await control(credentialSchema, origin, "bitscale/credentials", "POST");
    const fault = { call: "test", fault: "latency", skip: 1, ms: 400 };
    await control(z.unknown(), origin, "bitscale/faults", "POST", fault);
    const took: number[] = [];
    for (let time = 0; time < 3; time++) {
      const begun = performance.now();
      await fetch(`${origin}/bitscale/workspace`, { headers: { "x-api-key": secret } });
      took.push(performance.now() - begun);
    }
    expect(took[1]).toBeGreaterThanOrEqual(395);
    expect(Math.max(...took)).toBe(took[1]);
  });

  it("begins anew when asked, and knows nothing else", async () => {
    const { origin } = await runLab();
    await fetch(`${origin}/bitscale/nowhere`);
    expect((await stateOf(origin)).journal).toEqual(["unknown GET /nowhere 404"]);
    await control(stateSchema, origin, "bitscale", "DELETE");
    expect(await stateOf(origin)).toEqual({ journal: [], broken: [], credentials: [] });
    const attempts: [path: string, method: string, body: string | undefined, status: number][] = [
      ["/nobody/x", "GET", undefined, 404],
      ["/control/nobody", "GET", undefined, 404],
      ["/control/bitscale/nothing", "POST", "{}", 404],
      ["/control/bitscale/faults", "POST", "no JSON", 422],
      ["/control/bitscale/faults", "POST", '{"call":"*","fault":"unheard-of"}', 422],
    ];
    for (const [path, method, body, status] of attempts) {
      const init = { method, ...(body !== undefined && { body }) };
      expect((await fetch(`${origin}${path}`, init)).status, path).toBe(status);
    }
  });

  it.each(["bitscale", "resend"])(
    "is what a Rekey rotates keys at, as the lab says and docs/lab.md repeats: %s",
    async (service) => {
      const { origin } = await runLab();
      const { connection, key } = await control(pointerSchema, origin, `${service}/begin`, "POST");
      const rekey = await serve({ REKEY_DATA: makeFolder(), PRIVATE_ALLOWLIST: new URL(origin).host });
      const [, token = ""] = await rekey.printed(/^Root token.*\n\n +(\S+)$/m);
      const ask = async (path: string, body: unknown) => {
        const response = await fetch(`${rekey.origin}${path}`, {
          method: "POST",
          headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
          body: JSON.stringify(body),
        });
        return { status: response.status, body: (await response.json()) as unknown };
      };
      expect((await ask("/v1/connections", connection)).status).toBe(201);
      expect((await ask("/v1/keys", key)).status).toBe(201);
      const rotated = await ask(`/v1/keys/${service}-key/rotate?wait=20s`, { reveal: "inline" });
      const { secret } = z.object({ secret: z.string() }).parse(rotated.body);
      const { credentials } = await stateOf(origin, service);
      expect(credentials.find((one) => one.secret === secret)).toMatchObject({ live: true });
    },
  );

  it("stops cleanly at Ctrl-C: exit code 0, the port free, although somebody is still connected", async () => {
    const { program, origin, port } = await runLab();
    await fetch(`${origin}/control/`);
    expect(await isFree(port)).toBe(false);
    signalGroup(program, "SIGINT");
    expect(await program.ended).toBe(0);
    expect(program.output()).toContain("The lab has stopped.");
    expect(await isFree(port)).toBe(true);
  });

  it("says so when its port is taken", async () => {
    const { port } = await runLab();
    const second = start("npm", ["run", "lab"], { LAB_PORT: String(port) });
    expect(await second.ended).toBe(1);
    expect(second.output()).toContain("LAB_PORT names another port");
  });

  it("is described by its page: every fault, and what control knows", () => {
    const page = readFileSync(`${REPOSITORY}docs/lab.md`, "utf8");
    for (const fault of LAB_FAULTS) expect(page).toContain(`| \`${fault}\` |`);
    for (const path of ["/control/{service}", "/begin", "/faults", "/credentials"])
      expect(page).toContain(path);
  });
});
