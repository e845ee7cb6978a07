/**
 * The registry as this keyring's witness: an object of its own, which no restore of the keyring's database takes back in time. Asked as
 * seldom as the truth allows: cron's time only rises, so one that proves enough needs no second question, and what dies while one
 * message is on its way goes into the next.
 */
import { registryOf } from "../registry/stub.ts";
import type { Witness } from "../rotation/context.ts";

interface Batch {
  head: { seq: number; hash: Uint8Array };
  dead: string[];
  sent: PromiseWithResolvers<void>;
}

export function createWitness(env: Env, code: string): Witness {
  let cronAt: number | null = null;
  let next: Batch | undefined;
  let isSending = false;

  async function send(): Promise<void> {
    if (isSending) return;
    isSending = true;
    try {
      while (next) {
        const { head, dead, sent } = next;
        next = undefined;
        await registryOf(env).anchor(code, head, dead).then(sent.resolve, sent.reject);
      }
    } finally {
      isSending = false;
    }
  }

  return {
    anchor(head, dead) {
      next ??= { head, dead: [], sent: Promise.withResolvers<void>() };
      next.head = head;
      next.dead.push(...dead);
      const { promise } = next.sent;
      void send();
      return promise;
    },
    async lastCronAt(isEnough) {
      if (cronAt !== null && isEnough(cronAt)) return cronAt;
      cronAt = await registryOf(env).lastCronAt();
      return cronAt;
    },
  };
}
