/** `npm start`: Rekey for real use on this machine. State in one folder, cron each minute, an end without loss at any time. */
import { startCron } from "./cron.ts";
import { Refusal, takeFolder } from "./folder.ts";
import { readEnvironment, takeBindings } from "./settings.ts";
import { listenForStop, type StopRequest } from "./signals.ts";
import { buildWorker, ROOT, startWorker } from "./worker.ts";

const STOP_WITHIN_MS = 10_000;

async function serve(stop: StopRequest): Promise<void> {
  const environment = readEnvironment(process.env);
  const folder = await takeFolder(environment.REKEY_DATA ?? `${ROOT}.rekey`);
  const { bindings, newRootToken } = takeBindings(folder, environment);
  if (newRootToken !== undefined) {
    console.log(`Root token, shown this once (kept in ${folder.secrets}):\n\n  ${newRootToken}\n`);
  }
  const bundle = await buildWorker(folder.bundle);
  if (stop.asked) return;
  const worker = await startWorker(bundle, folder, { port: environment.PORT, bindings });
  const cron = startCron(worker.fireCron, (error) => {
    console.error(`${new Date().toISOString()} cron failed, next try in a minute: ${messageOf(error)}`);
  });
  const inFile = environment.ROOT_TOKEN === undefined;
  console.log(`Rekey runs at ${worker.url.origin}

  state    ${folder.path}
  cron     each full minute
  token    ${inFile ? `ROOT_TOKEN=$(sed -n 's/^ROOT_TOKEN=//p' "${folder.secrets}")` : "ROOT_TOKEN of the environment"}
  try it   curl -s ${worker.url.origin}/v1/keys -H "Authorization: Bearer $ROOT_TOKEN"
  stop     Ctrl-C
`);
  await stop.received;
  cron.stop();
  await worker.stop();
  folder.release();
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

const stop = listenForStop();
// Whatever hangs while stopping, the process ends; the runtime is ended with it.
void stop.received.then(() => setTimeout(() => process.exit(0), STOP_WITHIN_MS).unref());
try {
  await serve(stop);
  console.log("Rekey has stopped.");
  await stop.over;
  process.exit(0);
} catch (error) {
  // Ctrl-C reaches the children too: what they were busy with fails, and that is no news.
  if (stop.asked) process.exit(0);
  console.error(error instanceof Refusal ? `Rekey did not start: ${error.message}` : error);
  process.exit(1);
}
