/** Services as docs/http.md describes them: what stands on the page is what is tried. */
import page from "../../../docs/http.md?raw";
import { requestsOf } from "../../docs/examples.ts";
import type { FakeService } from "./fake.ts";
import type { Beginning } from "./registry.ts";

interface Body {
  name: string;
  connection?: string;
  credential?: Record<string, string>;
  config?: Record<string, unknown>;
}

/** The page's requests for one service, by the name of its connection there. */
export function describedAs(name: string): { connection: Body; key: Body } {
  const bodies = requestsOf(page).map(({ body }) => body as Body);
  const connection = bodies.find((body) => body.name === name);
  const key = bodies.find((body) => body.connection === name);
  if (!connection || !key) throw new Error(`docs/http.md describes no ${name}`);
  return { connection, key };
}

/** The same with the credential that opens a fake's account. A person has made keys there before. */
export function beginAsIn(name: string) {
  return (fake: FakeService & { admin?: string }): Beginning => {
    const { connection, key } = describedAs(name);
    for (let count = 1; count <= 12; count++) fake.make(`of a person ${count}`, { byPerson: true });
    const credential = Object.keys(connection.credential ?? {}).map((field) => [field, fake.admin ?? ""]);
    return {
      connection: { config: connection.config ?? {}, credential: Object.fromEntries(credential) },
      key: key.config ? { config: key.config } : {},
    };
  };
}
