/** Only the network outside is faked. A request that no test expected fails the test that made it. */
import { HttpResponse, http } from "msw";
import { setupServer } from "msw/node";
import { afterAll, afterEach, beforeAll, expect } from "vitest";

/** A receiver that answers 204 to everybody, in every test. */
export const QUIET_URL = "https://quiet.acme.dev/events";

export const network = setupServer(http.post(QUIET_URL, () => new HttpResponse(null, { status: 204 })));

const unexpected: string[] = [];

beforeAll(() => {
  network.listen({
    onUnhandledRequest(request) {
      unexpected.push(`${request.method} ${request.url}`);
      throw new Error("unexpected request");
    },
  });
});

afterEach(() => {
  network.resetHandlers();
  expect(unexpected.splice(0)).toEqual([]);
});

afterAll(() => network.close());
