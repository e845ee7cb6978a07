/**
 * Rekey with the lab among its providers, as `npm start` runs it: state in one folder, an end without loss at any time, in a process
 * that may be killed. Cron comes every few seconds, so that a test need not wait for a full minute.
 */
import { takeFolder } from "../../../src/local/folder.ts";
import { readEnvironment, takeBindings } from "../../../src/local/settings.ts";
import { startWorker } from "../../../src/local/worker.ts";
import { whenOrphaned } from "./parent.ts";

const CRON_MS = 3_000;

const { LAB_BUNDLE = "", LAB_URL = "" } = process.env;
const environment = readEnvironment(process.env);
const folder = await takeFolder(environment.REKEY_DATA ?? "");
const { bindings } = takeBindings(folder, environment);
const worker = await startWorker(LAB_BUNDLE, folder, {
  port: environment.PORT,
  bindings: { ...bindings, LAB_URL },
});
const cron = setInterval(() => worker.fireCron().catch(() => undefined), CRON_MS);
console.log(`Rekey runs at ${worker.url.origin}`);

async function stop(): Promise<void> {
  clearInterval(cron);
  await worker.stop();
  folder.release();
  process.exit(0);
}

process.on("SIGTERM", stop);
whenOrphaned(stop);
