/** Only the network outside is faked. A request that no test expected fails the test that made it. */
import { setupServer } from "msw/node";
import { afterAll, afterEach, beforeAll, expect } from "vitest";

export const network = setupServer();

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
