/** What somebody can do, and learn, who sends reports without being believed, or too many. */
import { runInDurableObject } from "cloudflare:test";
import { describe, expect, it } from "vitest";
import { request } from "../support/api.ts";
import { eventually } from "../support/eventually.ts";
import { stubOf } from "../support/inside.ts";
import { meter, type Statement } from "../support/meter.ts";
import { makeScene } from "../support/scene.ts";
import { sendStandard, setUp, standardHeaders, strangersToken } from "./support.ts";

describe("a stranger", () => {
  it("cannot tell a keyring that is not there, a source that is off and a wrong signature apart", async () => {
    const scene = await makeScene();
    await setUp(scene, "standard");
    const body = JSON.stringify({ type: "secret.leaked", data: { secret: "12345678", source: "s" } });
    const headers = standardHeaders("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", body);
    const answers = await Promise.all(
      [
        `/hooks/${scene.code}/standard`,
        `/hooks/${scene.code}/gitguardian`,
        "/hooks/AAAAAAAA/standard",
        "/hooks/%00/standard",
      ].map((path) => request(null, "POST", path, { rawBody: body, headers })),
    );
    const [first] = answers;
    expect(first).toMatchObject({ status: 401, body: { code: "signature-invalid" } });
    for (const answer of answers)
      expect({ status: answer.status, body: answer.body }).toEqual({ status: 401, body: first?.body });
  });

  it("who floods an address is asked to wait, and other addresses are not", async () => {
    const scene = await makeScene();
    const from = (address: string) =>
      request(null, "POST", `/hooks/${scene.code}/standard`, {
        rawBody: "{}",
        headers: { "cf-connecting-ip": address },
      });
    const flood = `203.0.113.${crypto.getRandomValues(new Uint8Array(1))[0]}-${crypto.randomUUID()}`;
    let refused = 0;
    for (let count = 0; count < 620; count++) if ((await from(flood)).status === 429) refused += 1;
    expect(refused).toBeGreaterThan(0);
    const answer = await from(flood);
    expect(answer).toMatchObject({ status: 429, body: { code: "rate-limited" } });
    expect(Number(answer.headers.get("retry-after"))).toBeGreaterThan(0);
    expect((await from("198.51.100.1")).status).toBe(401);
  });

  it("who has the secret and floods is asked to wait, too", async () => {
    const scene = await makeScene();
    const secret = await setUp(scene, "standard");
    const { id } = await scene.key({});
    const answers = new Map<number, number>();
    const send = (count: number) => sendStandard(scene, secret, { key: id, source: `scan ${count}` });
    for (let count = 0; count < 320; count += 20) {
      const some = await Promise.all(Array.from({ length: 20 }, (_, index) => send(count + index)));
      for (const { status } of some) answers.set(status, (answers.get(status) ?? 0) + 1);
    }
    expect(answers.get(429)).toBeGreaterThan(0);
    expect((answers.get(202) ?? 0) + (answers.get(429) ?? 0)).toBe(320);
    await eventually(async () => expect(await scene.rotations()).toHaveLength(1));
  });

  it("learns nothing from an answer: a match and none are answered alike, before anything is done, by the same statements", async () => {
    const scene = await makeScene();
    const { secret: leaked } = await scene.key({});
    await setUp(scene, "standard");
    const accept = (secret: string) =>
      runInDurableObject(stubOf(scene), (object, state) => {
        const seen = meter(state);
        const answer = object.acceptSignal({
          source: "standard",
          body: secret,
          items: [{ leaked: { secret } }],
        });
        const statements = seen.statements();
        seen.remove();
        const rotations = state.storage.sql.exec("SELECT count(*) AS count FROM rotation").one().count;
        return { answer, statements, rotations };
      });
    // What an object learns at its first report it knows at the next.
    await accept(strangersToken(scene.code));
    const none = await accept(strangersToken(scene.code));
    const some = await accept(leaked);
    expect(some.answer).toEqual({ ok: true, value: { matched: [true] } });
    expect(none.answer).toEqual({ ok: true, value: { matched: [false] } });
    // Nothing was done when the answer was there.
    expect(some.rotations).toBe(0);
    const withoutLeak = some.statements.filter(({ query }) => !/ leak /.test(query));
    expect(withoutLeak.map(shape)).toEqual(
      none.statements.filter(({ query }) => !/ leak /.test(query)).map(shape),
    );
    await eventually(async () => expect(await scene.verdict(leaked)).toBe("revoked"));
    const [match, other] = await Promise.all([
      sendStandard(scene, await setUp(scene, "standard"), { secret: leaked, source: "s" }),
      sendStandard(scene, await setUp(scene, "standard"), {
        secret: strangersToken(scene.code),
        source: "s",
      }),
    ]);
    expect([match.status, match.body]).toEqual([other.status, other.body]);
  });

  const shape = ({ query, rowsWritten }: Statement) => `${query.replace(/\s+/g, " ")} wrote ${rowsWritten}`;
});
