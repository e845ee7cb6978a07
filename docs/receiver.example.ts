import { Webhook } from "standardwebhooks";

interface Message {
  type: string;
  data: {
    deliveryId: string;
    keyName: string;
    revision: number;
    claim: string;
    claimUrl: string;
    acknowledgeToken: string;
  };
}

/** What your service runs on, by the key's name. */
export const held = new Map<string, { secret: string; revision: number }>();

/** Answers one message of Rekey. */
export async function receive(
  request: Request,
  signingSecret: string,
  claimToken: string,
): Promise<Response> {
  const body = await request.text();
  let message: Message;
  try {
    message = new Webhook(signingSecret).verify(body, Object.fromEntries(request.headers)) as Message;
  } catch {
    return new Response("not signed by Rekey", { status: 401 });
  }
  if (message.type !== "key.version.ready") return new Response(null, { status: 204 });

  const { deliveryId, keyName, revision, claim, claimUrl, acknowledgeToken } = message.data;
  // Messages may come twice and out of order: the highest revision wins.
  if (revision > (held.get(keyName)?.revision ?? 0)) {
    const answer = await fetch(claimUrl, {
      method: "POST",
      headers: { authorization: `Bearer ${claimToken}`, "content-type": "application/json" },
      body: JSON.stringify({ claim }),
    });
    // Whatever went wrong, Rekey sends the message again with a fresh claim.
    if (!answer.ok) return new Response("not claimed", { status: 503 });
    const { fields } = (await answer.json()) as { fields: { secret: string } };
    held.set(keyName, { secret: fields.secret, revision });
  }

  // Say so once your service has switched; with mustAcknowledge the rotation waits for it.
  await fetch(new URL(`/v1/deliveries/${deliveryId}/acknowledge`, claimUrl), {
    method: "POST",
    headers: { authorization: `Bearer ${acknowledgeToken}` },
  });
  return new Response(null, { status: 204 });
}
