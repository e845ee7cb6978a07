/** Identifiers: TypeIDs over UUIDv7, so they sort by time and say what they name. */
import { TypeID } from "typeid-js";
import type { Random } from "./crypto/random.ts";

export type IdKind = "key" | "con" | "rot" | "dlv" | "dst" | "evt" | "pol" | "sub" | "cmp" | "bat";

/**
 * A fresh id such as `key_01j…`.
 * @param now milliseconds since the epoch, the id's time part
 */
export function newId(kind: IdKind, now: number, random: Random): string {
  const bytes = new Uint8Array(random(16));
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  view.setUint32(0, Math.floor(now / 0x10000));
  view.setUint16(4, now % 0x10000);
  view.setUint8(6, (view.getUint8(6) & 0x0f) | 0x70);
  view.setUint8(8, (view.getUint8(8) & 0x3f) | 0x80);
  return TypeID.fromUUIDBytes(kind, bytes).toString();
}
