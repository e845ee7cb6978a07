/** Sends the same request again and again over connections that stay open, and counts the answers. */
import { Agent, request } from "node:http";

export interface Shot {
  url: string;
  headers: Record<string, string>;
  body: string;
  /** What the text of each answer must hold: an error is quick, too. */
  expected: string;
}

/** Answers a second over so many connections, for so long. */
export async function load(shot: Shot, connections: number, durationMs: number): Promise<number> {
  const agent = new Agent({ keepAlive: true, maxSockets: connections });
  const begun = performance.now();
  const until = begun + durationMs;
  let answers = 0;
  const shooter = async () => {
    while (performance.now() < until) {
      const text = await shoot(shot, agent);
      if (!text.includes(shot.expected)) throw new Error(`${shot.url} answered ${text.slice(0, 300)}`);
      answers += 1;
    }
  };
  await Promise.all(Array.from({ length: connections }, shooter));
  const seconds = (performance.now() - begun) / 1_000;
  agent.destroy();
  return answers / seconds;
}

function shoot({ url, headers, body }: Shot, agent: Agent): Promise<string> {
  return new Promise((resolve, reject) => {
    const call = request(url, {
      method: "POST",
      agent,
      headers: { ...headers, "content-length": body.length },
    });
    call.on("error", reject);
    call.on("response", (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => {
        text += chunk;
      });
      response.on("end", () => resolve(text));
      response.on("error", reject);
    });
    call.end(body);
  });
}
