/** Receivers of subscriptions in the simulation, each the first part of its host. They keep every message that reached them. */
import type { Outbound } from "../../src/outbound/port.ts";
import type { Simulator } from "./simulator.ts";
import { answerOf } from "./world.ts";

export interface Heard {
  id: string;
  seq: number;
}

export class Receivers {
  readonly heard: Map<string, Heard[]>;
  readonly pinged = new Set<string>();
  /** Messages that came before a ping had. */
  readonly early: string[] = [];
  readonly down = new Set<string>();

  constructor(names: readonly string[]) {
    this.heard = new Map(names.map((name) => [name, []]));
  }

  of(name: string): Heard[] {
    return this.heard.get(name) ?? [];
  }

  /** The way out, with these receivers on it. */
  join(rest: Outbound, simulator: Simulator): Outbound {
    return {
      ...rest,
      send: async (request) => {
        const { host } = new URL(request.url);
        const name = host.split(".")[0] ?? "";
        if (!this.heard.has(name)) return rest.send(request);
        const { type, data } = JSON.parse(request.body ?? "{}");
        const reply = await simulator.outside(`${host} ${type}`, () => {
          if (this.down.has(name)) return 500;
          if (type === "ping") this.pinged.add(name);
          else this.#take(name, { id: request.headers["webhook-id"] ?? "", seq: data.seq });
          return 200;
        });
        return answerOf(reply, request.method, host, simulator.now);
      },
    };
  }

  #take(name: string, message: Heard): void {
    if (!this.pinged.has(name)) this.early.push(name);
    this.of(name).push(message);
  }
}
