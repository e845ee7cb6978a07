/** Lightning Faucet: operators and their agents behind one endpoint, errors in a 200, a cooldown after each rotation. */
import { type FakeCredential, FakeService, type Incoming, jsonOf, type Route } from "./fake.ts";

export const AGENT_ID = 42;
const OPERATOR_ID = 7;
const COOLDOWN_MS = { operator: 60 * 60_000, agent: 30 * 60_000 };

interface Holder {
  type: "operator" | "agent";
  id: number;
}

export class FakeLightningFaucet extends FakeService {
  readonly name = "lightningfaucet";
  readonly origin = "https://lightningfaucet.com";
  /** Under which name the new key comes; `echo` is the old one again and nothing else. */
  answersWith: "api_key" | "new_api_key" | "both" | "echo" = "api_key";
  /** How it says until when withdrawals are held back. */
  tellsCooldown: "iso" | "seconds" | "nonsense" | "not" = "iso";
  /** What it says, in a 200, to whoever asks for a new key. */
  refusesWith: string | undefined;
  /** Words of an error that it answers after it rotated. */
  failsAfterIt: string | undefined;
  /** Until when withdrawals are held back, by whose they are. */
  readonly cooldowns = new Map<string, number>();
  /** Keys that were made while a cooldown ran. */
  madeInCooldown = 0;
  /** Who asked for each new key, by reference. */
  readonly askedBy: string[] = [];

  /** The key of the operator, or of an agent. */
  makeFor(holder: Holder, byPerson = false): FakeCredential {
    return this.make(`${holder.type} ${holder.id}`, { byPerson });
  }

  operator(byPerson = false): FakeCredential {
    return this.makeFor({ type: "operator", id: OPERATOR_ID }, byPerson);
  }

  agent(id = AGENT_ID): FakeCredential {
    return this.makeFor({ type: "agent", id });
  }

  protected route({ method, path, text }: Incoming): Route | undefined {
    if (method !== "POST" || path !== "/ai-agents/api") return undefined;
    const { action, api_key, agent_id } = (jsonOf(text) ?? {}) as Record<string, unknown>;
    const holder = typeof api_key === "string" ? this.holderOf(api_key) : undefined;
    switch (action) {
      case "whoami":
        return { name: "test", effect: () => (holder ? this.#tell(holder) : this.unauthorized()) };
      case "regenerate_operator_key":
        return { name: "mint", effect: () => this.#rotate(holder, holder) };
      case "regenerate_agent_key":
        return {
          name: "mint",
          effect: () => {
            const agent = this.live().find(({ label }) => label === `agent ${String(agent_id)}`);
            return Number.isInteger(agent_id) && agent
              ? this.#rotate(holder, agent)
              : this.#failed("Agent not found");
          },
        };
      default:
        return undefined;
    }
  }

  #tell(holder: FakeCredential): Response {
    const { type, id } = this.#whose(holder);
    return Response.json({ success: true, type, id, name: `${type}-${id}` });
  }

  #rotate(asker: FakeCredential | undefined, old: FakeCredential | undefined): Response {
    if (!asker || !old) return this.unauthorized();
    if (this.#whose(asker).type !== "operator") return this.#failed("Operator access required");
    if (this.refusesWith !== undefined) return this.#failed(this.refusesWith);
    const { type } = this.#whose(old);
    if ((this.cooldowns.get(old.label) ?? 0) > Date.now()) this.madeInCooldown += 1;
    const until = Date.now() + COOLDOWN_MS[type];
    this.cooldowns.set(old.label, until);
    this.askedBy.push(asker.reference);
    this.end(old);
    const { secret } = this.make(old.label);
    if (this.failsAfterIt !== undefined) return this.#failed(this.failsAfterIt);
    return Response.json({
      success: true,
      message: "The old key no longer works.",
      ...{
        api_key: { api_key: secret },
        new_api_key: { new_api_key: secret },
        both: { api_key: old.secret, new_api_key: secret },
        echo: { api_key: old.secret },
      }[this.answersWith],
      ...{
        iso: { cooldown_until: new Date(until).toISOString() },
        seconds: { cooldown_until: Math.floor(until / 1_000) },
        nonsense: { cooldown_until: "soon" },
        not: {},
      }[this.tellsCooldown],
    });
  }

  #whose({ label }: FakeCredential): Holder {
    const [type, id] = label.split(" ");
    return { type: type === "operator" ? "operator" : "agent", id: Number(id) };
  }

  #failed(error: string): Response {
    return Response.json({ success: false, error });
  }

  protected unauthorized(): Response {
    return this.#failed("Invalid API key");
  }
}
