/** Writes to the namespace `REKEY_KV`: Rekey's own records, which providers and destinations never reach. */
import { heard } from "./port.ts";
import { bounded, type Sent } from "./transport.ts";

/** The part of the namespace that is used. */
interface RecordStore {
  put(name: string, value: string, options: { expirationTtl: number }): Promise<void>;
  delete(name: string): Promise<void>;
}

/** A record with the time that it may live unless it is written again. */
export interface RecordToWrite {
  text: string;
  lastsSeconds: number;
}

export interface RecordTransport {
  /** Writes a name, or takes it away. Every end is a value. */
  writeRecord(name: string, record: RecordToWrite | null): Promise<Sent>;
}

export interface Records {
  /**
   * Writes a name, or takes it away.
   * @returns whether KV took it; when it did not, it may still land
   */
  write(name: string, record: RecordToWrite | null): Promise<boolean>;
}

/** The transport over the namespace, in the invocation that uses it. */
export function createRecordTransport(records: RecordStore): RecordTransport {
  return {
    writeRecord: (name, record) =>
      bounded(() =>
        record
          ? records.put(name, record.text, { expirationTtl: record.lastsSeconds })
          : records.delete(name),
      ),
  };
}

export function createRecords(transport: RecordTransport): Records {
  return { write: async (name, record) => (await heard(transport.writeRecord(name, record))).code === "ok" };
}
