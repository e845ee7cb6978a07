/** The way out as it is, counting what goes through. */
import { Outside as RealOutside } from "../../../src/outbound/outside.ts";
import type { OutboundRequest, Sent } from "../../../src/outbound/transport.ts";

interface Calls {
  posts: number;
  valuesRead: number;
  valuesWritten: number;
}

const NONE: Calls = { posts: 0, valuesRead: 0, valuesWritten: 0 };
let calls: Calls = { ...NONE };

/** What went out since this was last asked. */
export function takeCalls(): Calls {
  const taken = calls;
  calls = { ...NONE };
  return taken;
}

export class Outside extends RealOutside {
  override send(request: OutboundRequest): Promise<Sent> {
    calls.posts += 1;
    return super.send(request);
  }

  override readValue(name: string): Promise<Sent> {
    calls.valuesRead += 1;
    return super.readValue(name);
  }

  override writeValue(name: string, value: string): Promise<Sent> {
    calls.valuesWritten += 1;
    return super.writeValue(name, value);
  }
}
