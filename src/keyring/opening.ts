/** From a keyring's database to everything that works on it. */
import { unwrapDataKey } from "../crypto/master-keys.ts";
import { secureRandom } from "../crypto/random.ts";
import { Vault } from "../crypto/vault.ts";
import { readConfig } from "../env.ts";
import type { Failure } from "../errors/catalogue.ts";
import { logCommitted } from "../events/log.ts";
import { type Allowance, Budgets } from "../outbound/budget.ts";
import { createOutbound } from "../outbound/port.ts";
import { createRecords, type RecordTransport } from "../outbound/records.ts";
import type { Transport } from "../outbound/transport.ts";
import { providerOf } from "../providers/registry.ts";
import { err, ok, type Result } from "../result.ts";
import { createClock } from "../rotation/clock.ts";
import { ConfiguredProviders } from "../rotation/configured.ts";
import type { EngineContext, ProviderRef } from "../rotation/context.ts";
import { isMade } from "../store/migrations.ts";
import type { Sql } from "../store/sql.ts";
import { Store } from "../store/store.ts";
import { rewrap } from "./rewrapping.ts";
import { createWitness } from "./witness.ts";

/**
 * Opens a keyring that was made. Fails when it was not, or when the deployment lacks what it was sealed with.
 * @param onRewrapped hears that the newest master key wraps the data key from now on
 */
export function openContext(
  sql: Sql,
  env: Env,
  transport: Transport & RecordTransport,
  onRewrapped: (masterKeyId: string) => void = () => undefined,
  store = new Store(sql, { isOnlyWriter: true }),
): Result<EngineContext, Failure> {
  if (!isMade(sql)) return err({ code: "keyring-unknown" });
  const config = readConfig(env);
  if (!config.ok) return err({ code: "not-configured", detail: config.error.join("; ") });
  const identity = store.settings.identity();
  const wrapped = store.settings.wrappedDataKey();
  if (!identity || !wrapped) throw new Error("a keyring without identity");
  const dataKey = unwrapDataKey(config.value.masterKeys, identity.code, wrapped);
  if (!dataKey) {
    const detail = `MASTER_KEYS no longer holds "${wrapped.masterKeyId}", which this keyring was sealed with; add it back`;
    return err({ code: "not-configured", detail });
  }
  const budgets = new Budgets();
  const providers = new ConfiguredProviders(store, providerOf);
  const now = createClock(() => Date.now(), store.events.lastAt());
  const context = {
    store,
    identity,
    vault: new Vault(identity.code, dataKey, secureRandom),
    outbound: createOutbound({ allowlist: config.value.privateAllowlist, transport, now }),
    records: createRecords(transport),
    witness: createWitness(env, identity.code),
    random: secureRandom,
    publicUrl: config.value.publicUrl,
    providerOf: (key: ProviderRef) => providers.of(key),
    spend: (account: string, allowance: Allowance | undefined, isUrgent: boolean) =>
      budgets.take(account, allowance, now(), isUrgent),
    ordinaryLeft: (account: string, allowance: Allowance) => budgets.ordinaryLeft(account, allowance, now()),
    now,
  };
  const { masterKeys, logEvents } = config.value;
  store.onCommitted((events) => logCommitted(logEvents, identity, events));
  const newest = masterKeys[0]?.id ?? "";
  if (rewrap(context, dataKey, masterKeys)) onRewrapped(newest);
  return ok(context);
}
