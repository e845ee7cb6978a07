/**
 * Promise 2 at the moment of the call that could break it: a mint that ends the old value, a revocation of what was replaced. Judged by
 * what was answered and what is held in truth, not by what the engine thinks.
 */
import type { MintIntent } from "../../src/providers/provider.ts";
import type { RotationRow } from "../../src/store/rotations.ts";
import type { VersionRow } from "../../src/store/versions.ts";
import { heldBy, isFinished } from "./promises.ts";
import type { Credential, Service } from "./service.ts";
import type { Simulator } from "./simulator.ts";
import type { Answer, World } from "./world.ts";

export class Judge {
  readonly broken: string[] = [];
  readonly #simulator: Simulator;
  readonly #world: World;
  readonly #service: Service;
  /** How many calls had been made when a rotation began, or before its last call to mint. */
  readonly #since = new Map<string, number>();
  /** Idempotency keys used so far: a mint that is repeated with its own is the same attempt. */
  readonly #attempts = new Set<string>();

  constructor(simulator: Simulator, world: World, service: Service) {
    this.#simulator = simulator;
    this.#world = world;
    this.#service = service;
    service.beforeMint = (intent) => this.#judgeMint(intent);
    service.beforeRevoke = (credential) => this.#judgeRevocation(credential);
  }

  /** Called after each commit. */
  watch(keyId: string): void {
    const rotation = this.#simulator.store.rotations.live(keyId);
    if (rotation && !this.#since.has(rotation.id)) this.#since.set(rotation.id, this.#simulator.asked);
  }

  /** Without overlap: since the rotation began or minted last, the service and every required destination said that they are ready. */
  #judgeMint({ marker, idempotencyKey }: MintIntent): void {
    const rotation = this.#rotationOf(marker);
    const isNew = !this.#attempts.has(idempotencyKey);
    this.#attempts.add(idempotencyKey);
    if (!rotation) {
      this.broken.push(`promise 3: ${marker} is minted for no live rotation`);
      return;
    }
    const since = this.#since.get(rotation.id) ?? Infinity;
    this.#since.set(rotation.id, this.#simulator.asked);
    const { overlap, repeatsMint } = this.#service.abilities;
    if (overlap !== "none" || rotation.urgent || (repeatsMint && !isNew)) return;
    const { store } = this.#simulator;
    const isGreen = (answer: Answer | undefined) => answer?.isGreen && answer.after >= since;
    if (!isGreen(this.#service.readiness.get(store.keys.get(rotation.keyId)?.name ?? "")))
      this.broken.push("promise 2: minted though the service was not ready");
    for (const place of this.#requiredPlaces(rotation)) {
      const probe = this.#world.probes.get(place);
      // Another key's rotation may have found the place down since.
      const wasGreen = this.#isAlone(rotation) ? isGreen(probe) : (probe?.greenAfter ?? -1) >= since;
      if (!wasGreen) this.broken.push(`promise 2: minted though ${place} was not ready`);
    }
  }

  /** Of what was replaced, nothing is ended before its time and before its successor was seen to work and is held. */
  #judgeRevocation({ reference, endsAt, secret }: Credential): void {
    const { store } = this.#simulator;
    const { abilities } = this.#service;
    const version = this.#versionOf(reference);
    if (version?.endReason !== "rotated" || isFinished(this.#simulator, version)) return;
    const name = `promise 2: version ${version.number}`;
    if (abilities.overlap === "provider") {
      if (Number.isFinite(endsAt)) this.broken.push(`${name} was ended before the service's own time`);
      return;
    }
    // What took its place: a newer version, or the earlier one that a rollback brought back.
    const next = store.versions
      .ofKey(version.keyId)
      .filter(
        (other) => other.id !== version.id && (other.promotedAt ?? 0) >= (version.retiredAt ?? Infinity),
      )
      .sort((a, b) => (a.promotedAt ?? 0) - (b.promotedAt ?? 0))[0];
    const rotation = next?.rotationId ? store.rotations.get(next.rotationId) : undefined;
    if (rotation?.urgent) return;
    if (abilities.test !== false && !this.#service.seenValid.has(next?.reference ?? ""))
      this.broken.push(`${name} was ended though its successor was never seen to work`);
    for (const link of store.destinations.linksOfKey(version.keyId)) {
      if (link.required && heldBy(this.#simulator, this.#world, link) === secret)
        this.broken.push(`${name} was ended while ${link.target} holds it`);
    }
  }

  #isAlone({ keyId }: RotationRow): boolean {
    return this.#simulator.rows("SELECT 1 FROM key WHERE id <> ? LIMIT 1", keyId).length === 0;
  }

  #rotationOf(marker: string): RotationRow | undefined {
    return this.#simulator
      .rows<{ id: string }>("SELECT id FROM rotation WHERE live = 1")
      .filter(({ id }) => marker.includes(id))
      .map(({ id }) => this.#simulator.store.rotations.get(id))[0];
  }

  #versionOf(reference: string): VersionRow | undefined {
    const [found] = this.#simulator.rows<{ id: string }>(
      `SELECT version.id FROM version JOIN key ON key.id = keyId WHERE reference = ? AND provider = ?`,
      reference,
      this.#service.name,
    );
    return found && this.#simulator.store.versions.get(found.id);
  }

  /** Where the key must be held: a host, or KV. */
  #requiredPlaces({ keyId }: RotationRow): string[] {
    const { destinations } = this.#simulator.store;
    return destinations
      .linksOfKey(keyId)
      .filter(({ required }) => required)
      .map(({ destinationId }) => destinations.get(destinationId))
      .map((row) => (row?.type === "kv" ? "KEYS" : new URL(String(row?.config.url)).host));
  }
}
