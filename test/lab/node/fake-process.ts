/** The fake of one service in a process of its own, for the demo: `node test/lab/node/fake-process.ts <provider>`. It is spoken to over IPC. */
import { createHash } from "node:crypto";
import { questionSchema, type Tiding } from "../../../src/local/service-protocol.ts";
import { FAKES } from "../services/registry.ts";
import { listen } from "./http.ts";

const name = process.argv[2] ?? "";
const entry = FAKES[name];
if (!entry) throw new Error(`there is no fake of ${name}`);

const fake = entry.make();
let heard = 0;
const { url } = await listen(async (request) => {
  const answer = await fake.answer(request, url);
  for (const line of fake.journal.slice(heard)) tellCall(line);
  heard = fake.journal.length;
  return answer;
});

// Whoever started it is gone.
process.on("disconnect", () => process.exit(0));
// Ctrl-C reaches the whole process group; who started it ends it, last.
process.on("SIGINT", () => undefined);
process.on("message", (message) => {
  const { question, digest } = questionSchema.parse(message);
  const opens = fake.credentials.some(
    ({ secret }) =>
      createHash("sha256").update(secret).digest("hex") === digest && fake.holderOf(secret) !== undefined,
  );
  tell({ kind: "told", question, opens });
});

const { connection, key } = entry.begin(fake);
const { config, fields, reference } = key;
if (fields?.secret === undefined) throw new Error(`a key of ${name} begins without a value`);
tell({
  kind: "ready",
  url,
  beginning: {
    ...(connection && { connection }),
    key: {
      ...(config && { config }),
      fields: { ...fields, secret: fields.secret },
      ...(reference !== undefined && { reference }),
    },
  },
});

function tellCall(line: string): void {
  const [purpose = "", method = "", path = "", status = ""] = line.split(" ");
  tell({ kind: "called", purpose, call: `${method} ${path}`, status });
}

function tell(tiding: Tiding): void {
  process.send?.(tiding);
}
