/**
 * The change of the master key: a data key that an older one wraps is wrapped by the newest. The data key itself stays, so nothing else is
 * sealed anew, and one transaction does it: a crash leaves the old wrapping or the new one, and MASTER_KEYS still opens both.
 */
import { type MasterKey, wrapDataKey } from "../crypto/master-keys.ts";
import { type EngineContext, record } from "../rotation/context.ts";

/**
 * Wraps the keyring's data key with the newest master key, unless that wraps it already.
 * @param dataKey 32 bytes, as it was just unwrapped
 * @param masterKeys newest first
 * @returns whether there was anything to do
 */
export function rewrap(
  context: EngineContext,
  dataKey: Uint8Array,
  masterKeys: readonly MasterKey[],
): boolean {
  const { store, identity, random } = context;
  const before = store.settings.wrappedDataKey()?.masterKeyId;
  if (before === undefined || before === masterKeys[0]?.id) return false;
  store.transaction(() => {
    const wrapped = wrapDataKey(masterKeys, identity.code, dataKey, random);
    store.settings.setWrappedDataKey(wrapped);
    const { masterKeyId } = wrapped;
    record(context, { type: "keyring.rewrapped", actor: "rekey", data: { masterKeyId, before } });
  });
  return true;
}
