/** Every list comes in pages: each item once, in order, whatever the size of a page. */
import { beforeAll, describe, expect, it } from "vitest";
import { decodeCursor, encodeCursor, pageOf } from "../../src/keyring/page.ts";
import { makeKeyring, type TestKeyring } from "../support/api.ts";
import { expectInvalid, makeAccessKey, makeKey, settle } from "./fixtures.ts";

type Item = Record<string, unknown>;

interface Page {
  items: Item[];
  nextCursor: string | null;
}

let ring: TestKeyring;
/** An access key, as each use of a root token would lengthen the list of events. */
let call: TestKeyring["call"];
beforeAll(async () => {
  ring = await makeKeyring();
  call = (await makeAccessKey(ring, ["keys:read", "settings:read", "events:read"])).call;
  for (const _ of "abc") await makeKeyring();
  for (const name of ["a", "b", "c"]) {
    await ring.call("POST", "/v1/destinations", { body: { name, type: "kv" } });
    await makeKey(ring, `key-${name}`, {
      destinations: [{ id: name }],
      labels: { odd: String(name !== "b") },
    });
    await ring.call("POST", `/v1/keys/key-${name}/rotate?wait=10s`, { body: {} });
  }
  await settle(ring);
});

const LISTS: [path: string, by: string, kind: string][] = [
  ["/v1/keys", "id", "key_"],
  ["/v1/keys?label=odd=true", "id", "key_"],
  ["/v1/destinations", "id", "dst_"],
  ["/v1/rotations", "id", "rot_"],
  ["/v1/rotations?key=key-a", "id", "rot_"],
  ["/v1/deliveries", "id", "dlv_"],
  ["/v1/deliveries?key=key-a", "id", "dlv_"],
  ["/v1/events", "seq", ""],
  ["/v1/events?key=key-a", "seq", ""],
  ["/v1/events?type=key.rotated", "seq", ""],
  ["/v1/keyrings", "name", "ring-"],
];

async function get(path: string, query: string): Promise<Page> {
  const caller = path.startsWith("/v1/keyrings") ? ring.call : call;
  const answer = await caller<Page>("GET", `${path}${path.includes("?") ? "&" : "?"}${query}`);
  expect(answer.status).toBe(200);
  return answer.body;
}

async function readAll(path: string, limit: number): Promise<Item[]> {
  const all: Item[] = [];
  let cursor: string | null = null;
  do {
    const page = await get(path, `limit=${limit}${cursor === null ? "" : `&cursor=${cursor}`}`);
    expect(page.items.length).toBeLessThanOrEqual(limit);
    all.push(...page.items);
    cursor = page.nextCursor;
    expect(all.length).toBeLessThan(200);
  } while (cursor !== null);
  return all;
}

describe.each(LISTS)("%s", (path, by, kind) => {
  it("gives the same items in the same order in pages of any size", async () => {
    const { items, nextCursor } = await get(path, "limit=100");
    expect(nextCursor).toBeNull();
    expect(items.length).toBeGreaterThan(0);
    expect(new Set(items.map((item) => item[by])).size).toBe(items.length);
    for (const item of items) expect(String(item[by])).toContain(kind);
    for (const limit of [1, 2, 3, items.length, items.length + 1]) {
      expect((await readAll(path, limit)).map((item) => item[by])).toEqual(items.map((item) => item[by]));
    }
  });

  it("says that there is more only when there is", async () => {
    const { items } = await get(path, "limit=100");
    expect((await get(path, `limit=${items.length}`)).nextCursor).toBeNull();
    if (items.length > 1) expect((await get(path, `limit=${items.length - 1}`)).nextCursor).not.toBeNull();
  });

  it.each([
    ["empty", ""],
    ["no base64", "!!!"],
    ["padded", `${encodeCursor("key_01h455vb4pex5vsknk084sn02q")}=`],
    ["of nothing we gave out", Buffer.from("' OR 1=1 --").toString("base64url")],
    ["of bytes that are no text", "_____w"],
    ["of a number below one", encodeCursor("0")],
    ["of a number too large", encodeCursor("9".repeat(16))],
    ["of an id that is cut", encodeCursor("key_01h455vb4pex5vsknk084sn02")],
    [
      "of another list",
      encodeCursor(kind === "key_" ? "dst_01h455vb4pex5vsknk084sn02q" : "key_01h455vb4pex5vsknk084sn02q"),
    ],
  ])("refuses a cursor that is %s", async (what, cursor) => {
    const query = `${path}${path.includes("?") ? "&" : "?"}cursor=${encodeURIComponent(cursor)}`;
    const answer = await ring.call("GET", query);
    // A keyring may be named like a number or like the id of something that has none.
    const isName = path === "/v1/keyrings" && /number|id that is cut|another list/.test(what);
    if (isName) expect(answer.status).toBe(200);
    else expectInvalid(answer, "cursor");
  });
});

describe("paging", () => {
  it("is not disturbed by what is added meanwhile", async () => {
    const own = await makeKeyring();
    for (const name of ["a", "b", "c"]) await makeKey(own, name);
    const first = await own.call<Page>("GET", "/v1/keys?limit=2");
    await makeKey(own, "d");
    const rest = await own.call<Page>("GET", `/v1/keys?limit=2&cursor=${first.body.nextCursor}`);
    expect([...first.body.items, ...rest.body.items].map(({ name }) => name)).toEqual(["a", "b", "c", "d"]);
  });

  it("is not disturbed by what is deleted meanwhile, even the last item of the page before", async () => {
    const own = await makeKeyring();
    for (const name of ["a", "b", "c"]) await makeKey(own, name);
    const first = await own.call<Page>("GET", "/v1/keys?limit=2");
    await own.call("DELETE", "/v1/keys/b");
    await settle(own);
    const rest = await own.call<Page>("GET", `/v1/keys?limit=2&cursor=${first.body.nextCursor}`);
    expect(rest.body).toMatchObject({ items: [{ name: "c" }], nextCursor: null });
  });

  it("gives 50 items when no limit is asked for, and up to 100", async () => {
    const own = await makeKeyring();
    const { call: read } = await makeAccessKey(own, ["events:read"]);
    await Promise.all(Array.from({ length: 110 }, () => own.call("GET", "/v1/keys")));
    const sizes = [];
    for (const query of ["", "?limit=1", "?limit=100"]) {
      sizes.push((await read<Page>("GET", `/v1/events${query}`)).body.items.length);
    }
    expect(sizes).toEqual([50, 1, 100]);
  });
});

describe("a cursor", () => {
  it("stands for the last item that was shown", () => {
    const rows = [{ id: "a" }, { id: "b" }, { id: "c" }];
    const page = pageOf(rows, 2, ({ id }) => id.toUpperCase());
    expect(page.items).toEqual(["A", "B"]);
    expect(decodeCursor(page.nextCursor ?? "", "name")).toBe("b");
    expect(pageOf(rows, 3, ({ id }) => id).nextCursor).toBeNull();
    expect(pageOf([], 3, () => "x")).toEqual({ items: [], nextCursor: null });
  });
});
