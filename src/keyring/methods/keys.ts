/** Keys, their versions and what verification says of them, over RPC. */
import { guessPublicId } from "../../issuer/token.ts";
import { ok } from "../../result.ts";
import type { KeyFilter } from "../../store/keys.ts";
import { type Credential, identify } from "../caller.ts";
import type { KeyTarget } from "../find-key.ts";
import { type Answer, type Call, originOf } from "../host.ts";
import { describeMeant, type Meant } from "../meant.ts";
import { type CreatedKey, type CreateKeyInput, createKey } from "../operations/create-key.ts";
import { createRevealing, type RevealedKey } from "../operations/create-revealing.ts";
import * as interventions from "../operations/interventions.ts";
import * as keys from "../operations/keys.ts";
import type { RotateInput } from "../operations/rotations.ts";
import * as verification from "../operations/verify.ts";
import type { Page, PageRequest } from "../page.ts";
import type { Scope } from "../scopes.ts";
import { describeSelf, type Self } from "../self.ts";
import type { KeySummaryView, KeyView } from "../views.ts";
import { Hosted, hostOf } from "./hosted.ts";

export class KeyMethods extends Hosted {
  /** Who is calling and what it may do; for whatever shows no more than that. */
  whoAmI(call: Call): Answer<Self> {
    return hostOf(this).read(call, identify, ({ context }, caller) => describeSelf(context, caller));
  }

  /** The key that is meant, for a question about it, to who may act on it. */
  describeKey(call: Call, scope: Scope, target: KeyTarget, grace?: string): Answer<Meant> {
    return hostOf(this).read(call, scope, ({ context }, caller) =>
      describeMeant(context, caller, target, grace, call.agent?.reason),
    );
  }

  /** What only this keyring can make of a text, for this caller: so that an answer to a question is known by it. In hex. */
  signQuestion(call: Call, text: string): Answer<string> {
    return hostOf(this).read(call, identify, ({ context: { vault } }, { id }) =>
      ok(Buffer.from(vault.sign("consent", JSON.stringify([id, text]))).toString("hex")),
    );
  }

  createKey(call: Call, input: CreateKeyInput): Answer<CreatedKey> {
    return hostOf(this).write(
      call,
      "keys:write",
      ({ context }, caller) => createKey(context, caller, input),
      (made) => ({ resource: made.key.id, ...(made.secret !== undefined && { secret: made.secret }) }),
      ({ context }, { resource, secret }) => {
        const key = keys.getKey(context, resource);
        return key.ok ? ok({ key: key.value, ...(secret !== undefined && { secret }) }) : key;
      },
    );
  }

  /** The same for who chooses how to get the value. */
  createKeyRevealing(call: Call, input: CreateKeyInput, reveal: RotateInput["reveal"]): Answer<RevealedKey> {
    return hostOf(this).write(call, "keys:write", ({ context }, caller) =>
      createRevealing(context, caller, input, reveal, originOf(context, call)),
    );
  }

  listKeys(call: Call, filter: KeyFilter, page: PageRequest): Answer<Page<KeySummaryView>> {
    return hostOf(this).read(call, "keys:read", ({ context }) => keys.listKeys(context, filter, page));
  }

  getKey(call: Call, idOrName: string): Answer<KeyView> {
    return hostOf(this).read(call, "keys:read", ({ context }) => keys.getKey(context, idOrName));
  }

  patchKey(call: Call, idOrName: string, input: keys.PatchKeyInput, rotate: boolean): Answer<KeyView> {
    const patched = hostOf(this).write(call, "keys:write", ({ context, uses }, caller) => {
      const key = keys.patchKey(context, caller, idOrName, input, rotate);
      return key.ok ? ok({ key: key.value, uses }) : key;
    });
    if (!patched.ok) return patched;
    const { key, uses } = patched.value;
    if (input.verification?.usage !== undefined) uses.restart(key.id);
    return ok(key);
  }

  async deleteKey(call: Call, idOrName: string): Promise<Answer<KeyView>> {
    const ended = hostOf(this).write(call, "keys:write", ({ context }, caller) =>
      keys.deleteKey(context, caller, idOrName),
    );
    await hostOf(this).anchorEnded(ended);
    return ended;
  }

  async revokeKey(call: Call, idOrName: string, input: keys.RevokeInput): Promise<Answer<KeyView>> {
    const ended = hostOf(this).write(
      call,
      "keys:revoke",
      ({ context }, caller) => keys.revokeKey(context, caller, idOrName, input),
      (key) => ({ resource: key.id }),
      ({ context }, { resource }) => keys.getKey(context, resource),
    );
    await hostOf(this).anchorEnded(ended);
    return ended;
  }

  /** Moves the end of a version's grace on. */
  extendGrace(call: Call, idOrName: string, number: number, grace: string): Answer<KeyView> {
    return hostOf(this).write(
      call,
      "keys:rotate",
      ({ context }, caller) => interventions.extendGrace(context, caller, idOrName, number, grace),
      (key) => ({ resource: key.id }),
      ({ context }, { resource }) => keys.getKey(context, resource),
    );
  }

  /** Ends a version's grace now. */
  async finishGrace(call: Call, idOrName: string, number: number): Promise<Answer<KeyView>> {
    const ended = hostOf(this).write(
      call,
      "keys:rotate",
      ({ context }, caller) => interventions.finishGrace(context, caller, idOrName, number),
      (key) => ({ resource: key.id }),
      ({ context }, { resource }) => keys.getKey(context, resource),
    );
    await hostOf(this).anchorEnded(ended);
    return ended;
  }

  /** Gives up on a revocation that does not succeed. */
  async abandonVersion(call: Call, idOrName: string, number: number): Promise<Answer<KeyView>> {
    const ended = hostOf(this).write(
      call,
      "keys:rotate",
      ({ context }, caller) => interventions.abandonVersion(context, caller, idOrName, number),
      (key) => ({ resource: key.id }),
      ({ context }, { resource }) => keys.getKey(context, resource),
    );
    await hostOf(this).anchorEnded(ended, number);
    return ended;
  }

  /**
   * Verifies a key, for an access key or for root. In and out there are texts only, as those cross in less time than what is made of
   * parts.
   * @param token the access key of who asks; null for root, whose token the Worker has checked
   * @param scopes all of these must be held
   * @returns a `VerifyAnswer` as JSON
   */
  verify(token: string | null, route: string, key: string, scopes: string[]): Answer<string> {
    const credential: Credential = token === null ? { kind: "root" } : { kind: "access", token };
    const verify = () =>
      hostOf(this).read(
        { credential, route },
        "keys:verify",
        ({ context, uses }) =>
          hostOf(this).refusal() ??
          ok(JSON.stringify(verification.verifyKey(context, uses, { key, scopes }))),
      );
    const open = hostOf(this).opened();
    const presented = token === null ? [key] : [token, key];
    // What opens this API and what is asked about: one look into the database for both.
    return open.ok
      ? open.value.context.store.verifiables.during(presented.map(guessPublicId), verify)
      : verify();
  }
}
