/** Which destinations a key goes to: checks what was asked, stores it, and sends to whoever is new. */
import { destinationOf } from "../../destinations/registry.ts";
import type { Failure } from "../../errors/catalogue.ts";
import { err, ok, type Result } from "../../result.ts";
import type { EngineContext } from "../../rotation/context.ts";
import { checkDeliveries } from "../../rotation/outcomes.ts";
import { accountOf } from "../../rotation/probe.ts";
import { addDelivery, supersede } from "../../rotation/sends.ts";
import type { DestinationRow, KeyDestinationRow } from "../../store/destinations.ts";
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
  context: EngineContext,
  keyId: string,
  keyName: string,
  inputs: readonly LinkInput[],
): Result<KeyDestinationRow[], Failure> {
  const { store } = context;
  const rows: KeyDestinationRow[] = [];
  for (const [index, input] of inputs.entries()) {
    const destination = store.destinations.find(input.id);
    if (!destination) return err(invalid(index, "no destination has this id or name"));
    const name = input.as ?? keyName;
    const target = targetOf(context, destination, { keyId, name });
    if (rows.some((row) => row.destinationId === destination.id)) return err(invalid(index, "named twice"));
    const holder = store.destinations.linksByTarget(target).find((row) => row.keyId !== keyId);
    if (holder || rows.some((row) => row.target === target)) {
      return err(targetTaken(destination, name, holder));
    }
    const { required, mustAcknowledge } = input;
    rows.push({ keyId, destinationId: destination.id, required, mustAcknowledge, name, target });
  }
  return ok(rows);
}

/** What a key writes to at a destination. */
function targetOf(
  context: EngineContext,
  destination: DestinationRow,
  { keyId, name }: Pick<KeyDestinationRow, "keyId" | "name">,
): string {
  const { id: destinationId, type, config } = destination;
  const account = accountOf(context, destination);
  return destinationOf(type).targetOf({
    keyring: context.identity.name,
    destinationId,
    keyId,
    name,
    config,
    account,
  });
}

/** After a change of a destination its keys write to other places. Refuses one that another key writes to. */
export function retarget(context: EngineContext, destination: DestinationRow): Result<void, Failure> {
  const { store } = context;
  for (const link of store.destinations.linksOfDestination(destination.id)) {
    const target = targetOf(context, destination, link);
    if (target === link.target) continue;
    const holder = store.destinations.linksByTarget(target).find((row) => row.keyId !== link.keyId);
    if (holder) return err(targetTaken(destination, link.name, holder));
    store.destinations.retarget(link, target);
  }
  return ok(undefined);
}

function targetTaken(
  { name: at }: DestinationRow,
  name: string,
  holder: KeyDestinationRow | undefined,
): Failure {
  return { code: "target-taken", detail: `${name} at ${at}`, ...(holder && { holder: holder.keyId }) };
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
