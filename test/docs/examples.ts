/** The examples of a page: fenced blocks of a request line and, after a blank line, its body. */

export interface Example {
  method: string;
  path: string;
  body?: unknown;
}

/** All requests of a page, in order. */
export function requestsOf(page: string): Example[] {
  return [...page.matchAll(/```http\n([\s\S]*?)```/g)].map(([, text = ""]) => {
    const [line = "", ...rest] = text.split("\n");
    const [method = "", path = ""] = line.split(" ");
    const body = rest.join("\n").trim();
    return { method, path, ...(body !== "" && { body: JSON.parse(body) as unknown }) };
  });
}
