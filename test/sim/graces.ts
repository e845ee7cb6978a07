/**
 * Promises 2 and 8 for graces, after every commit: an old version is not let go while its policy holds it and its ceiling has not come;
 * its deadline moves only while something holds it or a person moves it, never once it has passed, never past `maxGrace`. What holds it is
 * judged here anew, by what consumers did.
 */
import { parseDuration } from "../../src/duration.ts";
import type { DeliveryRow } from "../../src/store/deliveries.ts";
import type { KeyRow, RevokeCondition } from "../../src/store/keys.ts";
import type { VersionRow } from "../../src/store/versions.ts";
import { isFinished, isSaid } from "./promises.ts";
import type { Service } from "./service.ts";
import type { Simulator } from "./simulator.ts";

/** The last look at a grace is this long before its end; what happens later holds it no more. */
const LAST_LOOK_MS = 90_000;
/** What comes back from a rollback that came to nothing lives long enough to be looked at, whatever its ceiling. */
const RETURNED_MS = 20 * 60_000;

/** The test of a new value is a use in its service's eyes. */
const OWN_USE_MS = 60_000;

/** What was so of a version after the last commit. */
interface Known {
  stage: VersionRow["stage"];
  endsAt: number | null;
  /** A rollback took it back: nothing holds it. */
  wasTakenBack: boolean;
  /** Since when something holds it, by each commit since; null when nothing did. Looked at only before its deadline. */
  heldSince: number | null;
}

export class Graces {
  readonly #simulator: Simulator;
  readonly #service: Service;
  readonly #known = new Map<string, Known>();
  #skewMs = 0;

  constructor(simulator: Simulator, service: Service) {
    this.#simulator = simulator;
    this.#service = service;
  }

  /** Called after each commit; says what is broken. */
  inspect(keyIds: readonly string[]): string[] {
    const { skewMs } = this.#simulator;
    // Nobody can look in time at a deadline that a clock leaps over.
    const hasLeapt = skewMs > this.#skewMs;
    this.#skewMs = skewMs;
    return keyIds.flatMap((keyId) => this.#inspectKey(keyId, hasLeapt));
  }

  #inspectKey(keyId: string, hasLeapt: boolean): string[] {
    const { store, context } = this.#simulator;
    const key = store.keys.get(keyId);
    if (!key || context.providerOf(key).overlap !== "ours") return [];
    return store.versions.ofKey(keyId).flatMap((version) => {
      const before = this.#known.get(version.id);
      const known = this.#look(key, version, before, hasLeapt);
      this.#known.set(version.id, known);
      const broken =
        known.stage === "previous"
          ? this.#judgeDeadline(key, version, before, known)
          : this.#judgeEnd(version, before);
      return broken.map((text) => `promise 2: version ${version.number} ${text}`);
    });
  }

  #look(key: KeyRow, version: VersionRow, before: Known | undefined, hasLeapt: boolean): Known {
    const { stage, graceEndsAt: endsAt } = version;
    if (stage !== "previous" || endsAt === null)
      return { stage, endsAt, wasTakenBack: false, heldSince: null };
    const { store, context } = this.#simulator;
    const now = context.now();
    const isKnown = before?.stage === "previous";
    const newest = store.versions.current(key.id)?.number ?? Infinity;
    const wasTakenBack = isKnown ? before.wasTakenBack : version.number > newest;
    const since = isKnown ? before.heldSince : null;
    const known = { stage, endsAt, wasTakenBack };
    // From its end on nothing is decided any more.
    if (now >= endsAt) return { ...known, heldSince: hasLeapt ? null : since };
    return { ...known, heldSince: this.#isHeld(key, version, endsAt, wasTakenBack) ? (since ?? now) : null };
  }

  /** Whether the policy holds a version now whose grace ends at some time. */
  #isHeld(key: KeyRow, version: VersionRow, endsAt: number, wasTakenBack: boolean): boolean {
    const isAtCeiling = key.policy.onCeiling !== "hold" && endsAt >= ceilingOf(key, version);
    return !wasTakenBack && !isAtCeiling && this.#isMissing(key, version);
  }

  /** Whether something that the policy waits for is missing now. */
  #isMissing({ id, policy }: KeyRow, version: VersionRow): boolean {
    const { revokeWhen = [] } = policy;
    // Promotion has waited for that.
    if (revokeWhen.every((condition) => condition === "delivered")) return false;
    const { store, context } = this.#simulator;
    const current = store.versions.current(id);
    const sent = current ? store.deliveries.ofVersion(id, current.number) : [];
    const places = store.destinations.linksOfKey(id).flatMap(({ destinationId }) => {
      const last = sent
        .filter((delivery) => delivery.destinationId === destinationId)
        .sort((a, b) => a.revision - b.revision)
        .at(-1);
      return last ? [{ last, answers: store.destinations.get(destinationId)?.type === "webhook" }] : [];
    });
    const isMissing = (condition: RevokeCondition): boolean => {
      switch (condition) {
        case "delivered":
          return places.some(({ last }) => last.required && isOnItsWay(last));
        case "acknowledged":
          return places.some(({ last, answers }) =>
            answers ? last.acknowledgedAt === null : isOnItsWay(last),
          );
        case "newSeen":
          return !current || this.#usedAt(current, (current.promotedAt ?? 0) + OWN_USE_MS) === null;
        default: {
          const idleFor = parseDuration(condition.replace("oldIdle:", ""));
          const lastUse = Math.max(this.#usedAt(version) ?? 0, version.retiredAt ?? 0);
          return context.now() < lastUse + idleFor;
        }
      }
    };
    return revokeWhen.some(isMissing);
  }

  /**
   * When a version was used last: by what verification has seen or, where the service is the one to say, by its own truth.
   * @param since uses up to then are Rekey's own test
   */
  #usedAt({ reference, lastSeenAt }: VersionRow, since = 0): number | null {
    if (!this.#service.abilities.tellsUse) return lastSeenAt;
    const { usedAt = 0 } = this.#service.credentials.find((one) => one.reference === reference) ?? {};
    return usedAt > since ? usedAt : null;
  }

  #judgeEnd(version: VersionRow, before: Known | undefined): string[] {
    const { stage, endsAt, heldSince } = before ?? { stage: null, endsAt: null, heldSince: null };
    if (stage !== "previous" || endsAt === null || heldSince === null) return [];
    if (version.endReason !== "rotated" || isFinished(this.#simulator, version)) return [];
    return heldSince < endsAt - LAST_LOOK_MS ? ["was let go while its policy held it"] : [];
  }

  #judgeDeadline(key: KeyRow, version: VersionRow, before: Known | undefined, { endsAt }: Known): string[] {
    if (endsAt === null) return ["is in a grace that never ends"];
    const now = this.#simulator.context.now();
    const ceiling = ceilingOf(key, version);
    if (before?.stage !== "previous" || before.endsAt === null) {
      const latest = before?.stage === "pending" ? Math.max(ceiling, now + RETURNED_MS) : ceiling;
      return endsAt > latest ? ["begins a grace that ends past its ceiling"] : [];
    }
    if (endsAt === before.endsAt) return [];
    if (endsAt < before.endsAt) return ["has its deadline moved nearer"];
    const isByHand = isSaid(this.#simulator, version, "key.grace.extended", {
      to: new Date(endsAt).toISOString(),
    });
    // Where the service did not say who uses what, nobody can know that nothing holds it.
    const { abilities, toldOfUses } = this.#service;
    const isUnknown = abilities.tellsUse === true && !toldOfUses;
    const isHeld = isUnknown || this.#isHeld(key, version, before.endsAt, before.wasTakenBack);
    const mayPass = key.policy.onCeiling === "hold" && !isByHand;
    return [
      ...(now >= before.endsAt ? ["has its deadline moved though it had passed"] : []),
      ...(endsAt > ceiling && !mayPass ? ["has its deadline moved past its ceiling"] : []),
      ...(isByHand || isHeld ? [] : ["has its deadline moved though nothing holds it"]),
    ];
  }
}

function isOnItsWay({ state }: DeliveryRow): boolean {
  return state === "pending" || state === "failing";
}

/** The latest that a grace may end by its policy. Milliseconds since the epoch. */
function ceilingOf({ policy }: KeyRow, { retiredAt }: VersionRow): number {
  const longest = Math.max(parseDuration(policy.maxGrace ?? "30d"), parseDuration(policy.grace ?? "24h"));
  return (retiredAt ?? 0) + longest;
}
