/** Connections to the accounts at outside services, over RPC: none is made or changed before its service has let it in. */
import { err, ok } from "../../result.ts";
import {
  changeConnection,
  connectionNotFound,
  insertConnection,
  type NewConnection,
  testConnection,
  tryNewConnection,
} from "../../rotation/connections.ts";
import type { EngineContext } from "../../rotation/context.ts";
import type { Answer, Call, Open } from "../host.ts";
import type { Earlier } from "../idempotency.ts";
import * as connections from "../operations/connections.ts";
import type { Page, PageRequest } from "../page.ts";
import { DestinationMethods } from "./destinations.ts";
import { hostOf } from "./hosted.ts";

export class ConnectionMethods extends DestinationMethods {
  /** Makes a connection once its service has let it in. */
  async createConnection(
    call: Call,
    input: connections.CreateConnectionInput,
  ): Promise<Answer<connections.ConnectionView>> {
    type Checked = { wanted: NewConnection } | { made: connections.ConnectionView };
    const again = ({ context }: Open, { resource }: Earlier) => connections.getConnection(context, resource);
    const checked = hostOf(this).write<Checked & { context: EngineContext }>(
      call,
      "settings:write",
      ({ context }, caller) => {
        const wanted = connections.checkNewConnection(context, caller, input);
        return wanted.ok ? ok({ wanted: wanted.value, context }) : wanted;
      },
      undefined,
      (open, earlier) => {
        const made = again(open, earlier);
        return made.ok ? ok({ made: made.value, context: open.context }) : made;
      },
    );
    if (!checked.ok) return checked;
    if ("made" in checked.value) return ok(checked.value.made);
    const { wanted, context } = checked.value;
    const tried = await tryNewConnection(context, wanted);
    if (!tried.ok) return tried;
    return hostOf(this).write(
      call,
      "settings:write",
      (open, caller) => {
        const row = insertConnection(open.context, caller.id, wanted, tried.value);
        return row.ok ? ok(connections.viewConnection(open.context, row.value)) : row;
      },
      ({ id }) => ({ resource: id }),
      again,
    );
  }

  listConnections(call: Call, page: PageRequest): Answer<Page<connections.ConnectionView>> {
    return hostOf(this).read(call, "settings:read", ({ context }) =>
      connections.listConnections(context, page),
    );
  }

  getConnection(call: Call, idOrName: string): Answer<connections.ConnectionView> {
    return hostOf(this).read(call, "settings:read", ({ context }) =>
      connections.getConnection(context, idOrName),
    );
  }

  /** Changes a connection once its service has let the new one in; a name alone at once. */
  async patchConnection(
    call: Call,
    idOrName: string,
    input: connections.PatchConnectionInput,
  ): Promise<Answer<connections.ConnectionView>> {
    const checked = hostOf(this).write(call, "settings:write", ({ context }, caller) => {
      const change = connections.checkConnectionChange(context, caller, idOrName, input);
      return change.ok ? ok({ context, caller, change: change.value }) : change;
    });
    if (!checked.ok) return checked;
    const { context, caller, change } = checked.value;
    if (change) {
      const changed = await changeConnection(context, caller.id, idOrName, change, () => {
        const again = connections.checkConnectionChange(context, caller, idOrName, input);
        return again.ok ? undefined : again.error;
      });
      if (!changed.ok) return changed;
    }
    return hostOf(this).write(call, "settings:write", (open, by) => {
      if (change) connections.resumeThrough(open.context, idOrName);
      return connections.renameConnection(open.context, by, idOrName, input.name);
    });
  }

  deleteConnection(call: Call, idOrName: string): Answer<void> {
    return hostOf(this).write(call, "settings:write", ({ context }, caller) =>
      connections.removeConnection(context, caller, idOrName),
    );
  }

  /** Has the service say whether it lets a connection in. The same request again asks nobody. */
  async testConnection(call: Call, idOrName: string): Promise<Answer<connections.TestedConnection>> {
    let isRepeated = false;
    const find = ({ context }: Open, wanted: string) => {
      const row = context.store.connections.find(wanted);
      return row ? ok({ context, row }) : err(connectionNotFound());
    };
    const found = hostOf(this).write(
      call,
      "settings:write",
      (open) => find(open, idOrName),
      ({ row }) => ({ resource: row.id }),
      (open, { resource }) => {
        isRepeated = true;
        return find(open, resource);
      },
    );
    if (!found.ok) return found;
    const { context, row } = found.value;
    const result = isRepeated ? undefined : await testConnection(context, row);
    return ok(connections.describeTry(context, row, result));
  }
}
