/** Batches of rotations over RPC. */
import type { Answer, Call } from "../host.ts";
import * as batches from "../operations/batches.ts";
import type { Page, PageRequest } from "../page.ts";
import { hostOf } from "./hosted.ts";
import { RotationMethods } from "./rotations.ts";

export class BatchMethods extends RotationMethods {
  createBatch(call: Call, input: batches.BatchInput): Answer<batches.BatchView> {
    return hostOf(this).write(
      call,
      "keys:rotate",
      ({ context }, caller) => batches.beginBatch(context, caller, input),
      ({ id }) => ({ resource: id }),
      ({ context }, { resource }) => batches.getBatch(context, resource),
    );
  }

  /** What a batch would do now. Nothing is changed, and nobody outside is asked. */
  planBatch(call: Call, input: batches.BatchInput): Answer<batches.BatchPlanView> {
    return hostOf(this).read(call, "keys:rotate", ({ context }, caller) =>
      batches.planBatch(context, caller, input),
    );
  }

  listBatches(call: Call, page: PageRequest): Answer<Page<batches.BatchView>> {
    return hostOf(this).read(call, "keys:read", ({ context }) => batches.listBatches(context, page));
  }

  getBatch(call: Call, id: string): Answer<batches.BatchView> {
    return hostOf(this).read(call, "keys:read", ({ context }) => batches.getBatch(context, id));
  }

  changeBatch(call: Call, id: string, change: batches.BatchChange): Answer<batches.BatchView> {
    return hostOf(this).write(
      call,
      "keys:rotate",
      ({ context }, caller) => batches.changeBatch(context, caller, id, change),
      () => ({ resource: id }),
      ({ context }) => batches.getBatch(context, id),
    );
  }
}
