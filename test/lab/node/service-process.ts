/**
 * The lab in a process of its own: it outlives whatever is done to Rekey, and remembers. It prints its address; `GET /inspect` tells
 * the truth of every service, `POST /make/<kind>/<label>` makes a credential by hand.
 */
import { KIND_NAMES } from "../kinds.ts";
import { Lab } from "../lab.ts";
import { createRandom } from "../random.ts";
import { listen } from "./http.ts";
import { whenOrphaned } from "./parent.ts";

/** Each call takes up to this long, and a mint four times that: its answer is what must not be lost. */
const MAX_DELAY_MS = Number(process.env.LAB_MAX_DELAY_MS ?? 0);
const MINT_TAKES = 4;

const random = createRandom(Number(process.env.LAB_SEED ?? 1));
const lab = new Lab({
  plan: (_, call) => ({ kind: "delay", ms: random() * MAX_DELAY_MS * (call === "mint" ? MINT_TAKES : 1) }),
});

const { url } = await listen(serve);
console.log(`The lab listens at ${url}`);

whenOrphaned(() => process.exit(0));

async function serve(request: Request): Promise<Response> {
  const { method } = request;
  const [, first, second, label = ""] = new URL(request.url).pathname.split("/");
  if (method === "GET" && first === "inspect") {
    return Response.json(Object.fromEntries([...lab.services].map(([name, one]) => [name, one.inspect()])));
  }
  if (method === "POST" && first === "make") {
    const kind = KIND_NAMES.find((name) => name === second);
    return kind ? Response.json(lab.service(kind).make(label)) : new Response(null, { status: 404 });
  }
  return lab.handle(request);
}
