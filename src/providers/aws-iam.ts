/**
 * Access keys of AWS IAM users: at most two for a user, no label, made inactive before they are deleted. What a lost answer made is known by
 * comparing lists. Requests are signed (SigV4), answers are XML.
 */
import { AwsV4Signer } from "aws4fetch";
import { z } from "zod";
import { CALL_TIMEOUT_MS } from "../outbound/transport.ts";
import { addressSetting } from "./address.ts";
import {
  type ApiAnswer,
  callApi,
  lastUsedBy,
  laterOf,
  listedBy,
  readyBy,
  revokedBy,
  testedBy,
  unminted,
  VALUE_UNKNOWN,
} from "./http-client.ts";
import { collectPages } from "./paging.ts";
import type { Credential, Provider, ProviderContext } from "./provider.ts";

/** https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html */
const MAX_KEYS = 2;

/** Said with a 400, and means that nothing was done yet. */
const THROTTLED = ["Throttling", "RequestLimitExceeded"];

const settings = z.strictObject({
  region: z
    .string()
    .regex(/^[a-z0-9-]{1,40}$/)
    .default("us-east-1")
    .describe("The region that requests are signed for."),
  iamUrl: addressSetting("https://iam.amazonaws.com", "Where IAM is."),
  stsUrl: addressSetting("https://sts.us-east-1.amazonaws.com", "Where STS is, in that region."),
});

const keySettings = z.strictObject({
  userName: z
    .string()
    .regex(/^[\w+=,.@-]{1,64}$/)
    .describe("The IAM user whose access key it is."),
});

/** What opens something at AWS. */
interface AccessKey {
  accessKeyId: string;
  secret: string;
}

const accessKeyId = z.string().regex(/^\w{16,128}$/);

/** What is read of an answer: whether it is one, its elements without children, and those of each member of its list. */
const answerOf = <Leaves extends z.ZodType>(leaves: Leaves) =>
  z.object({ isAnswer: z.literal(true), leaves, members: z.array(z.record(z.string(), z.string())) });

const done = answerOf(z.unknown());
const identity = answerOf(z.object({ Account: z.string().regex(/^\d{12}$/) }));
const made = answerOf(z.object({ AccessKeyId: accessKeyId, SecretAccessKey: z.string().min(20) }));
const used = answerOf(z.object({ LastUsedDate: z.iso.datetime().optional() }));
const list = answerOf(
  z.object({ IsTruncated: z.enum(["true", "false"]), Marker: z.string().optional() }),
).extend({
  members: z.array(z.object({ AccessKeyId: accessKeyId, CreateDate: z.iso.datetime() })),
});
const failure = z.object({ leaves: z.object({ Code: z.string() }) });

function leavesOf(xml: string): Record<string, string> {
  const found = xml.matchAll(/<([A-Za-z]+)>([^<>]*)<\/\1>/g);
  return Object.fromEntries([...found].map(([, name = "", text = ""]) => [name, text]));
}

/** Reads an answer to an action. What is cut off, or is no answer to it, is none: an empty list would mean that there are no keys. */
function readXml(action: string) {
  return (xml: string) => ({
    isAnswer: xml.includes(`<${action}Response`) && xml.trimEnd().endsWith(`</${action}Response>`),
    leaves: leavesOf(xml.replace(/<member>.*?<\/member>/gs, "")),
    members: [...xml.matchAll(/<member>(.*?)<\/member>/gs)].map(([, member = ""]) => leavesOf(member)),
  });
}

/** One signed call. */
async function call<Schema extends z.ZodType>(
  context: ProviderContext,
  {
    service,
    action,
    as,
    ...params
  }: { service: "iam" | "sts"; action: string; as: AccessKey } & Record<string, unknown>,
  schema: Schema,
): Promise<ApiAnswer<z.output<Schema>>> {
  const { iamUrl, stsUrl, region } = settings.parse(context.connection?.config ?? {});
  const url = `${service === "iam" ? iamUrl : stsUrl}/`;
  const version = service === "iam" ? "2010-05-08" : "2011-06-15";
  const given = Object.entries(params).map(([name, value]): [string, string] => [name, String(value)]);
  const named: [string, string][] = [["Action", action], ["Version", version], ...given];
  const text = new URLSearchParams(named).toString();
  // Signed for the time of the machine: AWS refuses what is five minutes off its own.
  const signer = new AwsV4Signer({
    method: "POST",
    url,
    body: text,
    accessKeyId: as.accessKeyId,
    secretAccessKey: as.secret,
    service,
    region,
  });
  const { headers } = await signer.sign();
  return callApi(
    context,
    {
      method: "POST",
      url,
      text,
      headers: {
        ...Object.fromEntries(headers),
        "content-type": "application/x-www-form-urlencoded; charset=utf-8",
        // AWS answers in JSON to who would take it.
        accept: "text/xml",
      },
    },
    { schema, parse: readXml(action), errorCode: (body) => failure.safeParse(body).data?.leaves.Code },
  );
}

function adminOf({ connection }: ProviderContext): AccessKey {
  const { accessKeyId: id = "", secret = "" } = connection?.credential ?? {};
  return { accessKeyId: id, secret };
}

/** A call to IAM about the key's user. */
function askIam<Schema extends z.ZodType>(
  context: ProviderContext,
  action: string,
  params: Record<string, string>,
  schema: Schema,
) {
  const { userName } = keySettings.parse(context.config);
  const as = adminOf(context);
  return call(context, { service: "iam", action, as, UserName: userName, ...params }, schema);
}

/** Whose keys these are. Anybody may ask that, whatever else is denied, so it says of a key only whether it works. */
function identify(context: ProviderContext, as: AccessKey) {
  return call(context, { service: "sts", action: "GetCallerIdentity", as }, identity);
}

function listKeys(context: ProviderContext) {
  return collectPages(async (from) => {
    const answer = await askIam(context, "ListAccessKeys", from === undefined ? {} : { Marker: from }, list);
    if (answer.kind !== "ok") return answer;
    const { members, leaves } = answer.value;
    return { ...answer, value: { items: members, next: leaves.Marker } };
  });
}

/** A value is tested by the id that its consumers have, whatever name it goes by here. */
function accessKeyOf({ fields }: Credential): AccessKey | undefined {
  return fields && { accessKeyId: fields.accessKeyId ?? "", secret: fields.secret };
}

export const awsIam: Provider = {
  name: "aws-iam",
  title: "AWS IAM access key",
  about: {
    page: "https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_access-keys.html",
    leastScope:
      "An access key of a user that may iam:CreateAccessKey, iam:UpdateAccessKey, iam:DeleteAccessKey, iam:ListAccessKeys and iam:GetAccessKeyLastUsed on the users in question.",
    calls: {
      preflight: "ListAccessKeys; of a connection, GetCallerIdentity at STS",
      mint: "CreateAccessKey",
      test: "GetCallerIdentity at STS, signed with the key in question: it needs no permission, and no policy can deny it",
      list: "ListAccessKeys",
      disable: "UpdateAccessKey with Status Inactive",
      revoke: "DeleteAccessKey",
      lastUsed: "GetAccessKeyLastUsed",
    },
    notes: [
      "A user has at most two access keys. Rekey deletes none that it did not make or adopt: with a second key of somebody else a rotation waits as needs-slot.",
      "A value has two fields: secret and accessKeyId. The id is its reference, too, and need not be given twice.",
      "An access key has no name. When the answer to CreateAccessKey is lost, the one key that is new in the list, and was made at that time, is ours: it is deleted and another one made.",
      "IAM takes a while to agree with itself, so a minute is allowed for a new key to work and for an old one to be refused.",
      "Roles and identity providers need no access keys at all; where one will do, prefer it.",
    ],
    unverified: [
      "That IAM agrees with itself within a minute: AWS gives no number.",
      "That STS answers InvalidClientTokenId to a key that is inactive or deleted; every other answer leaves the test unclear.",
      "How far behind LastUsedDate is; AWS says that it may be hours for some services.",
    ],
  },
  overlap: "ours",
  maxLive: MAX_KEYS,
  local: false,
  timeoutMs: CALL_TIMEOUT_MS,
  propagationMs: 60_000,
  repeatsMint: false,
  verifiedHere: false,
  connection: {
    isOptional: false,
    credential: z.strictObject({
      accessKeyId: accessKeyId.describe("The id of an access key that may manage those of the users."),
      secret: z.string().min(16).describe("Its secret access key."),
    }),
    names: ["accessKeyId"],
    config: settings,
    addresses: (config) => {
      const { iamUrl, stsUrl } = settings.parse(config);
      return [iamUrl, stsUrl];
    },
  },
  config: keySettings,
  referenceField: "accessKeyId",
  fields: z.strictObject({ accessKeyId: accessKeyId.describe("The id of the access key.") }),
  opensApi: false,
  adopts: true,
  defaultCooldown: "0",

  async preflight(context) {
    if (!keySettings.safeParse(context.config).success) {
      const answer = await identify(context, adminOf(context));
      return readyBy(answer, answer.kind === "ok" ? answer.value.leaves.Account : undefined);
    }
    const answer = await listKeys(context);
    if (answer.kind !== "ok" || answer.value.length < MAX_KEYS) return readyBy(answer);
    const problem = `the user has ${MAX_KEYS} access keys, the most that AWS allows; delete the one that is not used`;
    return { kind: "red", problem, noSlot: true, report: answer.report };
  },

  async mint(context) {
    const answer = await askIam(context, "CreateAccessKey", {}, made);
    if (answer.kind === "ok") {
      const { AccessKeyId, SecretAccessKey } = answer.value.leaves;
      const fields = { secret: SecretAccessKey, accessKeyId: AccessKeyId };
      return { kind: "minted", fields, reference: AccessKeyId, report: answer.report };
    }
    const code = answer.kind === "status" ? answer.code : undefined;
    if (code !== undefined && THROTTLED.includes(code)) return { kind: "postponed", ...laterOf(answer) };
    const result = unminted(answer);
    return code === "LimitExceeded"
      ? { ...result, problem: `${answer.problem}: the user has ${MAX_KEYS} access keys already` }
      : result;
  },

  async test(context, credential) {
    const as = accessKeyOf(credential);
    if (!as) return VALUE_UNKNOWN;
    // A wrong signature may be a clock's fault; an id that is not known, or not active, is the key's.
    return testedBy(await identify(context, as), { statuses: [], codes: ["InvalidClientTokenId"] });
  },

  async list(context) {
    const answer = await listKeys(context);
    const result = listedBy(answer, (keys) => keys.map(({ AccessKeyId }) => AccessKeyId));
    if (answer.kind !== "ok" || result.kind !== "listed") return result;
    const times = answer.value.map(({ AccessKeyId, CreateDate }) => [AccessKeyId, Date.parse(CreateDate)]);
    return { ...result, madeAt: Object.fromEntries(times) };
  },

  async disable(context, { reference }) {
    const params = { AccessKeyId: reference, Status: "Inactive" };
    return revokedBy(await askIam(context, "UpdateAccessKey", params, done));
  },

  async revoke(context, { reference }) {
    return revokedBy(await askIam(context, "DeleteAccessKey", { AccessKeyId: reference }, done));
  },

  async lastUsed(context, { reference }) {
    const params = { action: "GetAccessKeyLastUsed", as: adminOf(context), AccessKeyId: reference };
    const answer = await call(context, { service: "iam", ...params }, used);
    return lastUsedBy(answer, ({ leaves: { LastUsedDate } }) =>
      LastUsedDate === undefined ? null : Date.parse(LastUsedDate),
    );
  },
};
