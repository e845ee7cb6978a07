/** A key at a fake of a service outside, held by one webhook receiver, as a person would set it up. */
import { http } from "msw";
import { parseDuration } from "../../src/duration.ts";
import type { FakeService } from "../lab/services/fake.ts";
import type { Beginning } from "../lab/services/registry.ts";
import { quiet, runUntil } from "./inside.ts";
import { network } from "./network.ts";
import { type Hook, makeScene, type Scene } from "./scene.ts";

export interface Account<Fake extends FakeService = FakeService> {
  fake: Fake;
  scene: Scene;
  hook: Hook;
}

/** Lets a fake answer all that is sent to its service. */
export function serve(fake: FakeService): void {
  for (const address of [fake.origin, ...fake.others])
    network.use(http.all(`${new URL(address).origin}/*`, ({ request }) => fake.answer(request)));
}

/** Makes the key `billing`, and the connection `account` if it takes one, and waits until its first value is delivered. */
export async function openAccount<Fake extends FakeService>(
  fake: Fake,
  { connection, key }: Beginning,
  provider: string = fake.name,
): Promise<Account<Fake>> {
  serve(fake);
  const scene = await makeScene();
  const hook = await scene.webhook("hook");
  if (connection) await scene.must("POST", "/v1/connections", { name: "account", provider, ...connection });
  await scene.must("POST", "/v1/keys", {
    name: "billing",
    provider,
    ...(connection && { connection: "account" }),
    destinations: [{ id: "hook" }],
    ...key,
    policy: { grace: "1h", ...key.policy },
  });
  await quiet(scene);
  await runUntil(scene, Date.now() + parseDuration("10m"));
  fake.journal.length = 0;
  return { fake, scene, hook };
}

/** Lets what is under way come to rest, as the clock would else leave it behind; then goes on for so long, from alarm to alarm. */
export async function runFor({ scene }: Account, duration: string): Promise<void> {
  await quiet(scene);
  await runUntil(scene, Date.now() + parseDuration(duration));
}

/** What each call to the service was for and what it was answered, in order: `mint 200`. */
export function callsOf({ fake }: Account): string[] {
  return fake.journal.map((line) => line.replace(/^(\S+) .* (\S+)$/, "$1 $2"));
}
