/** Which destinations a key goes to: checks what was asked, stores it, and sends to whoever is new. */
import { destinationOf } from "../../destinations/registry.ts";
import type { Failure } from "../../errors/catalogue.ts";
import { err, ok, type Result } from "../../result.ts";
import type { EngineContext } from "../../rotation/context.ts";
import { checkDeliveries } from "../../rotation/outcomes.ts";
import { addDelivery, supersede } from "../../rotation/sends.ts";
import type { KeyDestinationRow } from "../../store/destinations.ts";
import type { KeyRow } from "../../store/keys.ts";
import type { VersionRow } from "../../store/versions.ts";

export interface LinkInput {
  /** Id or name of a destination. */
  id: string;
  required: boolean;
  mustAcknowledge: boolean;
  as?: string | undefined;
}

/** Turns what was asked into rows. Refuses unknown destinations, repeats, and names that another key already writes to. */
export function resolveLinks(
  { store, identity }: EngineContext,
  keyId: string,
  keyName: string,
  inputs: readonly LinkInput[],
): Result<KeyDestinationRow[], Failure> {
  const rows: KeyDestinationRow[] = [];
  for (const [index, input] of inputs.entries()) {
    const destination = store.destinations.find(input.id);
    if (!destination) return err(invalid(index, "no destination has this id or name"));
    const name = input.as ?? keyName;
    const place = {
      keyring: identity.name,
      destinationId: destination.id,
      keyId,
      name,
      config: destination.config,
    };
    const target = destinationOf(destination.type).targetOf(place);
    if (rows.some((row) => row.destinationId === destination.id)) return err(invalid(index, "named twice"));
    const holder = store.destinations.linkByTarget(target);
    if ((holder && holder.keyId !== keyId) || rows.some((row) => row.target === target)) {
      return err({
        code: "target-taken",
        detail: `${name} at ${destination.name}`,
        ...(holder && { holder: holder.keyId }),
      });
    }
    const { required, mustAcknowledge } = input;
    rows.push({ keyId, destinationId: destination.id, required, mustAcknowledge, name, target });
  }
  return ok(rows);
}

/**
 * Replaces a key's destinations. Those that are new are sent the value that the key's destinations hold at present (the new one
 * while a rotation delivers, the old one otherwise); deliveries to those taken out are superseded.
 * @param rotate they may wait for the value of the rotation that is about to deliver, or that the caller starts next
 * @returns `needs-rotation` when there is somebody new and only a hash of that value is kept; then nothing was changed
 */
export function replaceLinks(
  context: EngineContext,
  key: KeyRow,
  wanted: readonly KeyDestinationRow[],
  rotate: boolean,
): Result<void, Failure> {
  const { store } = context;
  const before = store.destinations.linksOfKey(key.id);
  const isSame = (a: KeyDestinationRow) => (b: KeyDestinationRow) =>
    a.destinationId === b.destinationId && a.target === b.target && a.name === b.name;
  const added = wanted.filter((row) => !before.some(isSame(row)));
  const version = heldVersion(context, key);
  const rotation = store.rotations.live(key.id);
  const comesByRotation = rotate && (!rotation || rotation.step === "preflight" || rotation.step === "mint");
  if (!comesByRotation && added.length > 0 && aliveUnsealed(context, key)) {
    return err({ code: "needs-rotation" });
  }

  for (const delivery of store.deliveries.unsettled(key.id)) {
    const kept = wanted.find(
      (row) => row.destinationId === delivery.destinationId && row.name === delivery.name,
    );
    if (!kept) supersede(context, delivery);
    else
      store.deliveries.update(delivery, { required: kept.required, mustAcknowledge: kept.mustAcknowledge });
  }
  // What was delivered and waits for its consumer's word waits only where that is still asked for.
  for (const delivery of store.deliveries.ofRevision(key.id, key.revision)) {
    if (delivery.state !== "delivered") continue;
    const kept = wanted.find((row) => row.destinationId === delivery.destinationId);
    store.deliveries.update(delivery, { mustAcknowledge: kept?.mustAcknowledge ?? false });
  }
  store.destinations.unlinkKey(key.id);
  for (const row of wanted) store.destinations.link(row);
  if (!comesByRotation && version) {
    for (const row of added) addDelivery(context, key, version, row, rotation ?? null);
  }
  checkDeliveries(context, key.id);
  return ok(undefined);
}

/** The version that the key's destinations should hold at its present revision. */
function heldVersion({ store }: EngineContext, key: KeyRow): VersionRow | undefined {
  const rotation = store.rotations.live(key.id);
  const number = rotation?.step === "deliver" ? rotation.toVersion : null;
  return number === null ? store.versions.current(key.id) : store.versions.byNumber(key.id, number);
}

function aliveUnsealed({ store }: EngineContext, key: KeyRow): boolean {
  return store.versions
    .alive(key.id)
    .some(
      (version) => version.sealed === null && (version.stage === "current" || version.stage === "pending"),
    );
}

function invalid(index: number, message: string): Failure {
  return { code: "invalid", errors: [{ path: `destinations.${index}.id`, message }] };
}
