/**
 * The demo's story, act by act: a key past its age is found by cron, replaced, handed out, and its old value dies. Every
 * line that is printed with a tick was checked first.
 */
import { createHash, randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { Webhook } from "standardwebhooks";
import type { z } from "zod";
import type { Checks } from "./checks.ts";
import { type Client, chainSchema, createdKeySchema, destinationSchema, type Key } from "./client.ts";
import type { Notice } from "./receiver-protocol.ts";
import type { Receiver } from "./receiver-process.ts";
import type { Screen } from "./screen.ts";
import type { LocalWorker } from "./worker.ts";

export interface Stage {
  screen: Screen;
  checks: Checks;
  client: Client;
  worker: LocalWorker;
  receiver: Receiver;
}
