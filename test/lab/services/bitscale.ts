/** BitScale: one key for a workspace; a key asks for its successor and dies of it. */
import { FakeService, type Incoming, jsonOf, type Route } from "./fake.ts";

export class FakeBitscale extends FakeService {
  readonly name = "bitscale";
  readonly origin = "https://api.bitscale.ai/api/v1";

  protected route({ method, path, headers, text }: Incoming): Route | undefined {
    const holder = this.holderOf(headers.get("x-api-key"));
    switch (`${method} ${path}`) {
      case "GET /workspace":
        return {
          name: "test",
          effect: () => (holder ? Response.json({ workspace: { id: "ws_1" } }) : this.unauthorized()),
        };
      case "POST /api-key/rotate":
      case "POST /rotate-api-key":
        return {
          name: "mint",
          effect: () => {
            if (!holder) return this.unauthorized();
            if (JSON.stringify(jsonOf(text)) !== "{}")
              return Response.json({ error: "bad body" }, { status: 400 });
            this.end(holder);
            return Response.json({ api_key: this.make(holder.label).secret });
          },
        };
      default:
        return undefined;
    }
  }

  protected override newSecret(count: number): string {
    return `sk-live-${super.newSecret(count)}`;
  }

  protected unauthorized(): Response {
    return Response.json({ error: "Invalid API key" }, { status: 401 });
  }
}
