/** How the keyring is and what has happened in it, over RPC. */
import { ok } from "../../result.ts";
import type { Answer, Call } from "../host.ts";
import * as events from "../operations/events.ts";
import { type Metrics, readMetrics } from "../operations/metrics.ts";
import { askLastCron, describeStatus, type StatusView, withLastCron } from "../operations/status.ts";
import type { Page, PageRequest } from "../page.ts";
import type { EventView } from "../views.ts";
import { hostOf } from "./hosted.ts";
import { SettingMethods } from "./settings.ts";

export class HistoryMethods extends SettingMethods {
  /** The whole keyring at a glance. */
  async getStatus(call: Call): Promise<Answer<StatusView>> {
    const read = hostOf(this).read(call, "keys:read", ({ context }) =>
      ok({ context, status: describeStatus(context, hostOf(this).refusal()?.error) }),
    );
    if (!read.ok) return read;
    const { context, status } = read.value;
    return ok(withLastCron(context, status, await askLastCron(context)));
  }

  /** The same in numbers, for a monitoring system. */
  async readMetrics(call: Call): Promise<Answer<Metrics>> {
    const read = hostOf(this).read(call, "keys:read", ({ context }) =>
      ok({ context, metrics: readMetrics(context) }),
    );
    if (!read.ok) return read;
    const { context, metrics } = read.value;
    return ok({ ...metrics, lastCronAt: await askLastCron(context) });
  }

  listEvents(call: Call, query: events.EventQuery, page: PageRequest): Answer<Page<EventView>> {
    return hostOf(this).read(call, "events:read", ({ context }) => events.listEvents(context, query, page));
  }

  /** A slice of the history for a stream, oldest first; `from` is what the slice before gave. */
  readEvents(
    call: Call,
    query: events.EventQuery,
    from: events.EventSlice["next"],
  ): Answer<events.EventSlice> {
    return hostOf(this).read(call, "events:read", ({ context }) =>
      ok(events.readEvents(context, query, from)),
    );
  }

  verifyEvents(call: Call): Answer<events.ChainView> {
    return hostOf(this).read(call, "events:read", ({ context }) => ok(events.verifyHistory(context)));
  }
}
