/** The Worker: HTTP, cron, its two kinds of Durable Object, and the way out. No logic here. */
import { createApp } from "./app.ts";
import { sweep } from "./keyring/sweep.ts";

export { Keyring } from "./keyring/keyring.ts";
export { Outside } from "./outbound/outside.ts";
export { Registry } from "./registry/registry.ts";

const app = createApp();

export default {
  fetch: (request, env, ctx) => app.fetch(request, env, ctx),
  async scheduled(controller, env) {
    await sweep(env, controller.scheduledTime);
  },
} satisfies ExportedHandler<Env>;
