/** The floor: the outside calls of a number of rotations, and nothing else. */

export interface Burden {
  rotations: number;
  /** Where each rotation's webhook goes. */
  url: string;
  /** Headers and body of a webhook, as long as the real ones. */
  headers: Record<string, string>;
  body: string;
  /** What each rotation writes to KV. */
  value: string;
  /** Calls at once. */
  width: number;
}

/** One KV write and one webhook a rotation, `width` calls at once. */
export async function runFloor(keys: KVNamespace, burden: Burden): Promise<null> {
  const { rotations, url, headers, body, value, width } = burden;
  const calls = Array.from({ length: rotations }, (_, n) => [
    () => keys.put(`floor-${n}`, value),
    async () => {
      const response = await fetch(url, { method: "POST", headers, body, redirect: "manual" });
      await response.text();
      if (!response.ok) throw new Error(`the receiver answered ${response.status}`);
    },
  ]).flat();
  const next = calls.values();
  const worker = async () => {
    for (const call of next) await call();
  };
  await Promise.all(Array.from({ length: width }, worker));
  return null;
}
