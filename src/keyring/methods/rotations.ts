/** Rotations over RPC: those that are begun wait for their end as long as their caller asks. */
import { ok } from "../../result.ts";
import type { Caller } from "../caller.ts";
import type { KeyTarget } from "../find-key.ts";
import { type Answer, type Call, originOf } from "../host.ts";
import { type Earlier, rememberSecret } from "../idempotency.ts";
import * as interventions from "../operations/interventions.ts";
import * as keys from "../operations/keys.ts";
import * as plan from "../operations/plan.ts";
import * as rotations from "../operations/rotations.ts";
import type { Page, PageRequest } from "../page.ts";
import type { RotationView } from "../views.ts";
import { hostOf } from "./hosted.ts";
import { KeyMethods } from "./keys.ts";

export class RotationMethods extends KeyMethods {
  /** Starts or joins a rotation, then waits as asked; see `awaitRotation`. */
  async rotateKey(
    call: Call,
    target: KeyTarget,
    input: rotations.RotateInput,
    waitMs: number,
  ): Promise<Answer<rotations.RotateAnswer>> {
    const reveal = input.reveal !== "none";
    let shows = reveal;
    let repeated: Earlier | undefined;
    const begun = hostOf(this).write<{ id: string; caller: Caller }>(
      call,
      "keys:rotate",
      ({ context, engine }, caller) => {
        const row = rotations.beginRotation(context, caller, target, input);
        if (!row.ok) return row;
        if (reveal) engine.watchers.holdReveal(row.value.id);
        return ok({ id: row.value.id, caller });
      },
      ({ id }) => ({ resource: id }),
      ({ context, engine }, earlier, caller) => {
        repeated = earlier;
        // Sent again before the first one has its answer: it waits for the value, too.
        const row = context.store.rotations.get(earlier.resource);
        shows = reveal && earlier.secret === undefined && row?.live === true && row.toVersion === null;
        if (shows) engine.watchers.holdReveal(earlier.resource);
        return ok({ id: earlier.resource, caller });
      },
    );
    if (!begun.ok) return begun;
    const open = hostOf(this).opened();
    if (!open.ok) return open;
    const { context, engine } = open.value;
    const { id, caller } = begun.value;
    const heard = (answer: rotations.RotateAnswer) =>
      call.agent ? rotations.withOutlook(context, answer) : answer;
    if (input.reveal === "claim") {
      const claimant = {
        claimant: caller.id,
        isRepeated: repeated !== undefined,
        origin: originOf(context, call),
      };
      const claimed = await rotations.awaitClaim(context, engine, { id, waits: shows, waitMs }, claimant);
      hostOf(this).arm();
      return ok(heard(claimed));
    }
    const answer = heard(await rotations.awaitRotation(context, engine, id, shows, waitMs));
    if (repeated?.secret !== undefined) return ok({ ...answer, secret: repeated.secret });
    const { secret } = answer;
    if (call.idempotency && secret !== undefined) {
      const { idempotency } = call;
      context.store.transaction(() => rememberSecret(context, caller, idempotency, secret));
      hostOf(this).arm();
    }
    return ok(answer);
  }

  /** What a rotation would do and meet now. Destinations and the service are really asked; nothing is changed. */
  async planRotation(
    call: Call,
    target: KeyTarget,
    input: rotations.RotateInput,
  ): Promise<Answer<plan.PlanView>> {
    const found = hostOf(this).read(call, "keys:rotate", ({ context }, caller) => {
      const key = plan.findPlannable(context, caller, target, input);
      return key.ok ? ok({ context, caller, key: key.value }) : key;
    });
    if (!found.ok) return found;
    const { context, caller, key } = found.value;
    return plan.dryRun(context, caller, key, input);
  }

  /** Takes a value by hand, then waits as asked; see `awaitRotation`. */
  async handInValue(
    call: Call,
    idOrName: string,
    input: keys.HandInInput,
    waitMs: number,
  ): Promise<Answer<rotations.RotateAnswer>> {
    const begun = hostOf(this).write(call, "keys:write", ({ context, engine }, caller) => {
      const row = keys.handInValue(context, caller, idOrName, input);
      return row.ok ? ok({ context, engine, id: row.value.id }) : row;
    });
    if (!begun.ok) return begun;
    const { context, engine, id } = begun.value;
    return ok(await rotations.awaitRotation(context, engine, id, false, waitMs));
  }

  getRotation(call: Call, id: string): Answer<RotationView> {
    return hostOf(this).read(call, "keys:read", ({ context }) => rotations.getRotation(context, id));
  }

  listRotations(call: Call, filter: rotations.RotationFilter, page: PageRequest): Answer<Page<RotationView>> {
    return hostOf(this).read(call, "keys:read", ({ context }) =>
      rotations.listRotations(context, filter, page),
    );
  }

  /** Cancels, retries or abandons a rotation. */
  intervene(call: Call, id: string, what: interventions.Intervention): Answer<RotationView> {
    return hostOf(this).write(
      call,
      "keys:rotate",
      ({ context }, caller) => interventions.intervene(context, caller, id, what),
      (rotation) => ({ resource: rotation.id }),
      ({ context }, { resource }) => rotations.getRotation(context, resource),
    );
  }

  /** Starts going back to an earlier version, then waits as asked. */
  async rollBackKey(
    call: Call,
    idOrName: string,
    input: interventions.RollbackInput,
    waitMs: number,
  ): Promise<Answer<{ rotation: RotationView }>> {
    const begun = hostOf(this).write(
      call,
      "keys:rotate",
      ({ context, engine }, caller) => {
        const row = interventions.rollBackKey(context, caller, idOrName, input);
        return row.ok ? ok({ context, engine, id: row.value.id }) : row;
      },
      ({ id }) => ({ resource: id }),
      (open, { resource }) => ok({ ...open, id: resource }),
    );
    if (!begun.ok) return begun;
    const { context, engine, id } = begun.value;
    return ok(await rotations.awaitRotation(context, engine, id, false, waitMs));
  }
}
