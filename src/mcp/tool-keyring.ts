/** The part of a keyring that tools reach, over RPC: no settings, no connections, no destinations, no export. */
import type { Answer, Call } from "../keyring/call.ts";
import type { CompromiseView } from "../keyring/compromise-view.ts";
import type { KeyTarget } from "../keyring/find-key.ts";
import type { Meant } from "../keyring/meant.ts";
import type { CompromiseInput } from "../keyring/operations/compromises.ts";
import type { CreateKeyInput } from "../keyring/operations/create-key.ts";
import type { RevealedKey } from "../keyring/operations/create-revealing.ts";
import type { EventQuery } from "../keyring/operations/events.ts";
import type { RollbackInput } from "../keyring/operations/interventions.ts";
import type { RevokeInput } from "../keyring/operations/keys.ts";
import type { PlanView } from "../keyring/operations/plan.ts";
import type { RotateAnswer, RotateInput } from "../keyring/operations/rotations.ts";
import type { StatusView } from "../keyring/operations/status.ts";
import type { Page, PageRequest } from "../keyring/page.ts";
import type { Scope } from "../keyring/scopes.ts";
import type { DeliveryView, EventView, KeySummaryView, KeyView, RotationView } from "../keyring/views.ts";
import type { KeyFilter } from "../store/keys.ts";

type Promised<T> = Promise<Answer<T>>;

export interface ToolKeyring {
  describeKey(call: Call, scope: Scope, target: KeyTarget, grace?: string): Promised<Meant>;
  signQuestion(call: Call, text: string): Promised<string>;
  rotateKey(call: Call, target: KeyTarget, input: RotateInput, waitMs: number): Promised<RotateAnswer>;
  planRotation(call: Call, target: KeyTarget, input: RotateInput): Promised<PlanView>;
  createKeyRevealing(call: Call, input: CreateKeyInput, reveal: RotateInput["reveal"]): Promised<RevealedKey>;
  listKeys(call: Call, filter: KeyFilter, page: PageRequest): Promised<Page<KeySummaryView>>;
  getKey(call: Call, key: string): Promised<KeyView>;
  revokeKey(call: Call, key: string, input: RevokeInput): Promised<KeyView>;
  extendGrace(call: Call, key: string, version: number, grace: string): Promised<KeyView>;
  finishGrace(call: Call, key: string, version: number): Promised<KeyView>;
  rollBackKey(
    call: Call,
    key: string,
    input: RollbackInput,
    waitMs: number,
  ): Promised<{ rotation: RotationView }>;
  getRotation(call: Call, id: string): Promised<RotationView>;
  acknowledgeDelivery(call: Call, id: string): Promised<DeliveryView>;
  reportCompromise(call: Call, input: CompromiseInput): Promised<CompromiseView>;
  /** A verdict as JSON. */
  verify(token: string | null, route: string, key: string, scopes: string[]): Promised<string>;
  listEvents(call: Call, query: EventQuery, page: PageRequest): Promised<Page<EventView>>;
  getStatus(call: Call): Promised<StatusView>;
}
