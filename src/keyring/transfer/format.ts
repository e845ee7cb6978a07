/**
 * An exported keyring as a file: a line of JSON that says what it is and how its key is found, then one line a part. A part is gzipped JSON,
 * sealed with its number and whether it is the last, so that a line which is changed, missing, doubled or moved does not open.
 */
import { gunzipSync, gzipSync } from "node:zlib";
import { z } from "zod";
import { sealingSchema } from "../../crypto/file-key.ts";
import { sha256 } from "../../crypto/hash.ts";
import { secureRandom } from "../../crypto/random.ts";
import { open, seal } from "../../crypto/seal.ts";
import type { SqlValue } from "../../store/sql.ts";

const MAX_PART_BYTES = 64 * 1024 * 1024;

export const headerSchema = z.strictObject({
  format: z.enum(["rekey-export"]),
  version: z.int(),
  /** Migrations that the tables have seen. */
  schema: z.int().min(1),
  keyring: z.strictObject({ name: z.string().min(1).max(64), code: z.string().regex(/^[0-9A-Za-z]{8}$/) }),
  exportedAt: z.iso.datetime(),
  sealing: sealingSchema,
  cipher: z.enum(["AES-256-GCM"]),
  compression: z.enum(["gzip"]),
});

export const FORMAT_VERSION = 1;

export type Header = z.infer<typeof headerSchema>;

/** A value of a column; bytes in base64. */
const valueSchema = z.union([z.string(), z.number(), z.null(), z.strictObject({ bytes: z.string() })]);

const recordSchema = z.union([
  /** Rows as they are; one that came before under the same primary key is replaced. */
  z.strictObject({ put: z.string(), columns: z.array(z.string()), rows: z.array(z.array(valueSchema)) }),
  /** Rows that came before and have been deleted since. */
  z.strictObject({ drop: z.string(), ids: z.array(z.string()) }),
  /** What the last part ends with. */
  z.strictObject({
    end: z.strictObject({
      dataKey: z.string(),
      head: z.strictObject({ seq: z.int(), hash: z.string() }),
      counts: z.record(z.string(), z.int()),
    }),
  }),
]);

export type FileRecord = z.infer<typeof recordSchema>;
export type End = Extract<FileRecord, { end: unknown }>["end"];

const lineSchema = z.strictObject({ part: z.int(), last: z.boolean().optional(), sealed: z.base64() });

export interface Part {
  records: FileRecord[];
  isLast: boolean;
}

/** Seals and opens the parts of one file. */
export class Seals {
  readonly #key: Uint8Array;
  readonly #code: string;
  readonly #file: string;

  /** @param headerLine the file's first line, to which every part is bound */
  constructor(key: Uint8Array, code: string, headerLine: string) {
    this.#key = key;
    this.#code = code;
    this.#file = fileIdOf(headerLine);
  }

  /** One line of the file, without its end. */
  seal(part: number, records: readonly FileRecord[], isLast: boolean): string {
    const bytes = gzipSync(JSON.stringify(records));
    const sealed = Buffer.from(seal(this.#key, this.#placeOf(part, isLast), bytes, secureRandom));
    return JSON.stringify({ part, ...(isLast && { last: true }), sealed: sealed.toString("base64") });
  }

  /** What a line holds, or undefined when it is not that part of this file, whole and under this key. */
  open(part: number, line: string): Part | undefined {
    try {
      const { sealed, last: isLast = false, ...stated } = lineSchema.parse(JSON.parse(line));
      if (stated.part !== part) return undefined;
      const bytes = open(this.#key, this.#placeOf(part, isLast), Buffer.from(sealed, "base64"));
      const text = gunzipSync(bytes, { maxOutputLength: MAX_PART_BYTES }).toString("utf8");
      return { records: z.array(recordSchema).parse(JSON.parse(text)), isLast };
    } catch {
      return undefined;
    }
  }

  #placeOf(part: number, isLast: boolean) {
    const purpose = isLast ? "last" : "part";
    return { keyring: this.#code, table: "export", id: this.#file, revision: part, purpose };
  }
}

/** What tells one file from another. */
export function fileIdOf(headerLine: string): string {
  return Buffer.from(sha256(headerLine)).toString("base64url");
}

export function encodeValue(value: SqlValue): z.infer<typeof valueSchema> {
  return value instanceof Uint8Array ? { bytes: Buffer.from(value).toString("base64") } : value;
}

export function decodeValue(value: z.infer<typeof valueSchema>): SqlValue {
  return value !== null && typeof value === "object"
    ? new Uint8Array(Buffer.from(value.bytes, "base64"))
    : value;
}
