/** Registers the lab at the address that the Worker's variable `LAB_URL` names, by being imported. */
import { env } from "cloudflare:workers";
import { z } from "zod";
import { registerLab } from "./register.ts";

// The runtime forbids `new Function`, which Zod would use to speed up parsing.
z.config({ jitless: true });

registerLab(z.object({ LAB_URL: z.url() }).parse(env).LAB_URL);
