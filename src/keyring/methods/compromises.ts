/** Reports of leaks, by people and by signals, over RPC. */
import { err, ok } from "../../result.ts";
import type { Report, Taken } from "../../rotation/leak-reports.ts";
import { signalOf } from "../../store/compromises.ts";
import type { SignalSource } from "../../store/signals.ts";
import type { CompromiseSummaryView, CompromiseView } from "../compromise-view.ts";
import type { Answer, Call } from "../host.ts";
import * as compromises from "../operations/compromises.ts";
import * as signals from "../operations/signals.ts";
import type { Page, PageRequest } from "../page.ts";
import { hostOf } from "./hosted.ts";
import { SubscriptionMethods } from "./subscriptions.ts";

type Read = CompromiseView & { nextCursor: string | null };

/** What was signed for this keyring, and by what. */
export interface Signal extends Omit<Report, "reporter"> {
  /** Revision of the secrets that it was checked with; absent where the source has its own. */
  revision?: number;
}

/** Signals of one source that are taken in; beyond that it is asked to come back. */
const SIGNALS = { calls: 300, perMs: 60_000 };
/** What a report made shows first. */
const FIRST_PAGE = { limit: 50 };

export class CompromiseMethods extends SubscriptionMethods {
  /** Takes a report in, acts on it, and answers what it matched and what was begun. */
  async reportCompromise(call: Call, input: compromises.CompromiseInput): Promise<Answer<Read>> {
    const taken = hostOf(this).write(
      call,
      "keys:revoke",
      ({ context }, caller) => {
        const row = compromises.reportCompromise(context, caller, input);
        return row.ok ? ok({ id: row.value.id }) : row;
      },
      ({ id }) => ({ resource: id }),
      (_, { resource }) => ok({ id: resource }),
    );
    if (!taken.ok) return taken;
    const open = hostOf(this).opened();
    if (!open.ok) return open;
    const { context } = open.value;
    const read = compromises.getCompromise(context, taken.value.id, FIRST_PAGE);
    const keys = read.ok ? read.value.items.flatMap(({ key }) => key ?? []) : [];
    for (const key of new Set(keys)) await hostOf(this).anchorKey(key);
    return compromises.getCompromise(context, taken.value.id, FIRST_PAGE);
  }

  listCompromises(
    call: Call,
    isMatched: boolean | undefined,
    page: PageRequest,
  ): Answer<Page<CompromiseSummaryView>> {
    return hostOf(this).read(call, "keys:read", ({ context }) =>
      compromises.listCompromises(context, isMatched, page),
    );
  }

  getCompromise(call: Call, id: string, page: PageRequest): Answer<Read> {
    return hostOf(this).read(call, "keys:read", ({ context }) =>
      compromises.getCompromise(context, id, page),
    );
  }

  setSignal(call: Call, source: SignalSource, input: signals.SignalInput): Answer<signals.SetSignal> {
    return hostOf(this).write(call, "settings:write", ({ context }, caller) =>
      signals.setSignal(context, caller, source, input, call.origin ?? ""),
    );
  }

  listSignals(call: Call): Answer<signals.SignalView[]> {
    return hostOf(this).read(call, "settings:read", ({ context }) =>
      ok(signals.listSignals(context, call.origin ?? "")),
    );
  }

  getSignal(call: Call, source: SignalSource): Answer<signals.SignalView> {
    return hostOf(this).read(call, "settings:read", ({ context }) =>
      signals.getSignal(context, source, call.origin ?? ""),
    );
  }

  deleteSignal(call: Call, source: SignalSource): Answer<void> {
    return hostOf(this).write(call, "settings:write", ({ context }, caller) =>
      signals.deleteSignal(context, caller, source),
    );
  }

  /** What the Worker checks a source's signatures with. Only the Worker calls this. */
  signalKeys(source: SignalSource): Answer<signals.SignalKeys> {
    const open = hostOf(this).opened();
    return open.ok ? ok(signals.keysOfSignal(open.value.context, source)) : open;
  }

  /**
   * Takes in a signal whose signature the Worker found good. It is acted on in a moment, and answered before that.
   * @returns for each thing that was reported whether it is, or was, ours
   */
  acceptSignal({ revision, ...report }: Signal): Answer<Pick<Taken, "matched">> {
    const source = signalOf(report.source);
    if (source === undefined) throw new Error("a report by somebody is no signal");
    return hostOf(this).accept(({ context }) => {
      const isStale = revision !== undefined && signals.keysOfSignal(context, source).revision !== revision;
      if (isStale) return err({ code: "signature-invalid" });
      const waitMs = context.spend(`signal ${report.source}`, SIGNALS, true);
      if (waitMs > 0) return err({ code: "rate-limited", retryAfterSeconds: Math.ceil(waitMs / 1_000) });
      signals.noteHeard(context, source);
      return ok({ matched: compromises.acceptSignal(context, report).matched });
    });
  }
}
