import { Webhook } from "standardwebhooks";

interface Message {
  type: string;
  data: { seq: number; keyName?: string };
}

const seen = new Set<string>();

/** @param secret the subscription's `signingSecret` */
export async function receive(request: Request, secret: string): Promise<Response> {
  const body = await request.text();
  const headers = Object.fromEntries(request.headers);
  let message: Message;
  try {
    message = new Webhook(secret).verify(body, headers) as Message;
  } catch {
    return new Response(null, { status: 401 });
  }
  const id = headers["webhook-id"] ?? "";
  if (message.type !== "ping" && !seen.has(id)) {
    seen.add(id);
    console.log(message.data.seq, message.type, message.data.keyName);
  }
  return new Response(null, { status: 204 });
}
