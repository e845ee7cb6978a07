/**
 * Calls to the outside in an invocation of their own: a stateless entrypoint of this Worker, which only the Worker itself reaches
 * (`ctx.exports`). The platform allows six connections an invocation; here each call has them to itself, so a receiver that hangs
 * holds up nobody.
 */
import { WorkerEntrypoint } from "cloudflare:workers";
import { createRecordTransport, type RecordToWrite, type RecordTransport } from "./records.ts";
import { createTransport, type OutboundRequest, type Sent, type Transport } from "./transport.ts";

export class Outside extends WorkerEntrypoint<Env> implements Transport, RecordTransport {
  send(request: OutboundRequest): Promise<Sent> {
    return createTransport(this.env.KEYS).send(request);
  }

  readValue(name: string): Promise<Sent> {
    return createTransport(this.env.KEYS).readValue(name);
  }

  writeValue(name: string, value: string): Promise<Sent> {
    return createTransport(this.env.KEYS).writeValue(name, value);
  }

  writeRecord(name: string, record: RecordToWrite | null): Promise<Sent> {
    return createRecordTransport(this.env.REKEY_KV).writeRecord(name, record);
  }
}
