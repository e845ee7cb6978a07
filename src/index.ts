/** The Worker: HTTP, cron, and its two kinds of Durable Object. No logic here. */
import { createApp } from "./app.ts";
import { sweep } from "./keyring/sweep.ts";

export { Keyring } from "./keyring/keyring.ts";
export { Registry } from "./registry/registry.ts";

const app = createApp();

export default {
  fetch: (request, env, ctx) => app.fetch(request, env, ctx),
  async scheduled(controller, env) {
    await sweep(env, controller.scheduledTime);
  },
} satisfies ExportedHandler<Env>;
