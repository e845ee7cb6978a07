/** The secrets of a keyring that are no keys: what opens its accounts, what signs its messages, what signs reports to it. */
import { z } from "zod";
import type { LeakKind } from "../store/compromises.ts";
import { openAddress } from "./addresses.ts";
import { credentialPlace, type EngineContext } from "./context.ts";
import { secretsAt } from "./secret-list.ts";
import { openSignalSecrets } from "./signals.ts";
import { openSigningSecrets } from "./signing-secrets.ts";

interface OtherSecret {
  kind: LeakKind;
  /** Id of what it belongs to. */
  subject: string;
  secret: string;
}

/** By what one of them is known again. */
export interface OtherPrint {
  kind: LeakKind;
  subject: string;
  /** Keyed hash; of a claim token, of which no more is kept, SHA-256. */
  print: Uint8Array;
}

/** What is shorter is a name or a number. */
const MIN_SECRET_LENGTH = 8;
/** More of a kind than any keyring has. */
const MANY = 10_000;

const fieldsSchema = z.record(z.string(), z.string());

/** Each that counts now, opened one by one. Their number is that of the accounts and receivers, not of the keys. */
export function* listOtherPrints(context: EngineContext): Generator<OtherPrint> {
  for (const { kind, subject, secret } of listAll(context)) {
    if (secret.length >= MIN_SECRET_LENGTH) yield { kind, subject, print: context.vault.fingerprint(secret) };
  }
  for (const { id: subject, claimDigest: print } of context.store.destinations.list("", MANY)) {
    if (print !== null) yield { kind: "claim-token", subject, print };
  }
}

function* listAll(context: EngineContext): Generator<OtherSecret> {
  const { store, vault } = context;
  const now = context.now();
  for (const { id, provider, revision } of store.connections.list("", MANY)) {
    const sealed = store.connections.revision(id, revision)?.sealed;
    if (!sealed) continue;
    const fields = fieldsSchema.parse(JSON.parse(vault.open(credentialPlace(id, revision), sealed)));
    const { names = [] } = context.providerOf({ provider, connectionId: id }).connection ?? {};
    for (const [field, secret] of Object.entries(fields)) {
      if (!names.includes(field)) yield { kind: "connection", subject: id, secret };
    }
  }
  for (const row of store.destinations.list("", MANY)) {
    for (const secret of secretsAt(openSigningSecrets(context, row), now)) {
      yield { kind: "destination", subject: row.id, secret };
    }
  }
  for (const row of store.subscriptions.list("", MANY)) {
    const { url, secrets } = openAddress(context, row);
    for (const secret of secretsAt(secrets, now)) yield { kind: "subscription", subject: row.id, secret };
    // The address of a chat's webhook is a credential itself.
    if (row.format !== "standard") yield { kind: "subscription", subject: row.id, secret: url };
  }
  for (const row of store.signals.all()) {
    for (const secret of secretsAt(openSignalSecrets(context, row), now)) {
      yield { kind: "signal", subject: row.id, secret };
    }
  }
}
