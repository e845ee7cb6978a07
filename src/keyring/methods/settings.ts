/** Shared policies and what holds for the keyring as a whole, over RPC. */
import { ok } from "../../result.ts";
import type { Policy } from "../../store/keys.ts";
import type { Answer, Call } from "../host.ts";
import * as policies from "../operations/policies.ts";
import * as settings from "../operations/settings.ts";
import type { Page, PageRequest } from "../page.ts";
import { ConnectionMethods } from "./connections.ts";
import { hostOf } from "./hosted.ts";

export class SettingMethods extends ConnectionMethods {
  createPolicy(call: Call, input: { name: string; policy: Policy }): Answer<policies.PolicyView> {
    return hostOf(this).write(
      call,
      "settings:write",
      ({ context }, caller) => policies.createPolicy(context, caller, input),
      ({ id }) => ({ resource: id }),
      ({ context }, { resource }) => policies.getPolicy(context, resource),
    );
  }

  listPolicies(call: Call, page: PageRequest): Answer<Page<policies.PolicyView>> {
    return hostOf(this).read(call, "settings:read", ({ context }) => policies.listPolicies(context, page));
  }

  getPolicy(call: Call, idOrName: string): Answer<policies.PolicyView> {
    return hostOf(this).read(call, "settings:read", ({ context }) => policies.getPolicy(context, idOrName));
  }

  /** Changes a policy for all its keys. A dry run answers the effect and changes nothing. */
  patchPolicy(
    call: Call,
    idOrName: string,
    input: policies.PatchPolicyInput,
    dryRun: boolean,
  ): Answer<policies.ChangedPolicy> {
    return hostOf(this).write(call, "settings:write", ({ context }, caller) =>
      policies.patchPolicy(context, caller, idOrName, input, dryRun),
    );
  }

  deletePolicy(call: Call, idOrName: string): Answer<void> {
    return hostOf(this).write(call, "settings:write", ({ context }, caller) =>
      policies.deletePolicy(context, caller, idOrName),
    );
  }

  getSettings(call: Call): Answer<settings.SettingsView> {
    return hostOf(this).read(call, "settings:read", ({ context }) => ok(settings.getSettings(context)));
  }

  patchSettings(call: Call, input: settings.PatchSettingsInput): Answer<settings.SettingsView> {
    return hostOf(this).write(call, "settings:write", ({ context }, caller) =>
      settings.patchSettings(context, caller, input),
    );
  }

  holdRotations(call: Call, input: settings.HoldInput): Answer<settings.SettingsView> {
    return hostOf(this).write(
      call,
      "settings:write",
      ({ context }, caller) => settings.holdRotations(context, caller, input),
      () => ({ resource: "hold" }),
      ({ context }) => ok(settings.getSettings(context)),
    );
  }

  releaseRotations(call: Call): Answer<settings.SettingsView> {
    return hostOf(this).write(
      call,
      "settings:write",
      ({ context }, caller) => settings.releaseRotations(context, caller),
      () => ({ resource: "hold" }),
      ({ context }) => ok(settings.getSettings(context)),
    );
  }
}
