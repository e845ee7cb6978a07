/** Between Node's HTTP server and what speaks `Request` and `Response`. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

type Handle = (request: Request) => Promise<Response>;

export interface Listening {
  /** Without a slash at its end. */
  url: string;
  close(): void;
}

/** Listens on a free port of this machine. What goes wrong in `handle` is answered 400. */
export async function listen(handle: Handle): Promise<Listening> {
  const server = createServer((incoming, response) => {
    read(incoming)
      .then(handle)
      .then(
        (answer) => send(answer, response),
        () => response.writeHead(400).end(),
      );
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

async function read(incoming: IncomingMessage): Promise<Request> {
  const chunks: Buffer[] = [];
  for await (const chunk of incoming) chunks.push(Buffer.from(chunk));
  const { method = "GET", url = "/" } = incoming;
  const headers = new Headers();
  for (const [name, value] of Object.entries(incoming.headers)) headers.set(name, String(value));
  const body = chunks.length > 0 ? { body: Buffer.concat(chunks).toString("utf8") } : {};
  return new Request(new URL(url, `http://${incoming.headers.host}`), { method, headers, ...body });
}

/** A connection that breaks has no status. */
async function send(answer: Response, response: ServerResponse): Promise<void> {
  if (answer.type === "error") {
    response.destroy();
    return;
  }
  response.writeHead(answer.status, Object.fromEntries(answer.headers));
  response.end(Buffer.from(await answer.arrayBuffer()));
}
