/**
 * What verification is measured beside: better-auth's API-key plugin on SQLite behind a plain Node server, as its documentation sets
 * it up. Its rate limit is off, which saves it work. Prints its port and a key as one line of JSON.
 */
import { createServer } from "node:http";
import { apiKey } from "@better-auth/api-key";
import { betterAuth } from "better-auth";
import { getMigrations } from "better-auth/db/migration";
import Database from "better-sqlite3";

const [file = ":memory:"] = process.argv.slice(2);
const database = new Database(file);
database.pragma("journal_mode = WAL");

const auth = betterAuth({
  baseURL: "http://127.0.0.1",
  secret: "for-this-benchmark-only-and-nothing-else",
  database,
  emailAndPassword: { enabled: true },
  telemetry: { enabled: false },
  plugins: [apiKey({ rateLimit: { enabled: false } })],
});
const { runMigrations } = await getMigrations(auth.options);
await runMigrations();

const { user } = await auth.api.signUpEmail({
  body: { email: "bench@acme.dev", password: "for-this-benchmark-only", name: "bench" },
});
const { key } = await auth.api.createApiKey({
  body: { userId: user.id, name: "bench", rateLimitEnabled: false },
});

const server = createServer(async (request, response) => {
  let text = "";
  request.setEncoding("utf8");
  for await (const chunk of request) text += chunk;
  const { key: presented } = JSON.parse(text);
  const verdict = await auth.api.verifyApiKey({ body: { key: presented } });
  response.setHeader("content-type", "application/json");
  response.end(JSON.stringify(verdict));
});
server.listen(0, "127.0.0.1", () => {
  console.log(JSON.stringify({ port: server.address().port, key }));
});
process.on("disconnect", () => process.exit());
