import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { findUrlProblem, parseAllowlist } from "../../src/outbound/url.ts";

const NONE: ReadonlySet<string> = new Set();

describe("an address that may be called", () => {
  it.each([
    "https://hooks.acme.dev/",
    "https://hooks.acme.dev",
    "https://hooks.acme.dev:443/rekey?x=1#y",
    "HTTPS://HOOKS.ACME.DEV/",
    "https://hooks.acme.dev./",
    "https://bücher.acme.dev/",
    "https://localhost.acme.dev/",
    "https://internal.acme.dev/",
    "https://mylocalhost.com/",
    "https://local.dev/",
    "https://127.0.0.1.acme.dev/",
    "https://example.com/",
    `https://hooks.acme.dev/${"x".repeat(2_048 - 23)}`,
  ])("is %s", (url) => {
    expect(findUrlProblem(url, NONE)).toBeUndefined();
  });
});

describe("an address is refused as", () => {
  it.each([
    [
      "not-a-url",
      ["", " ", "hooks.acme.dev", "//hooks.acme.dev", "https://", "https://a b.dev/", "https://1.2.3.4.5/"],
    ],
    [
      "not-https",
      ["http://hooks.acme.dev/", "ws://hooks.acme.dev/", "file:///etc/passwd", "javascript:x", "data:,x"],
    ],
    ["has-port", ["https://hooks.acme.dev:80/", "https://hooks.acme.dev:8443/", "https://hooks.acme.dev:0/"]],
    [
      "has-credentials",
      ["https://u@hooks.acme.dev/", "https://u:p@hooks.acme.dev/", "https://:p@hooks.acme.dev/"],
    ],
    [
      "ip-address",
      [
        ...[
          "https://127.0.0.1/",
          "https://127.1/",
          "https://127.0.1/",
          "https://127.0.0.1./",
          "https://127.0.0.1../",
        ],
        ...[
          "https://0x7f000001/",
          "https://0X7F.1/",
          "https://0177.0.0.01/",
          "https://2130706433/",
          "https://0/",
        ],
        ...["https://%31%32%37.0.0.1/", "https://①②⑦.0.0.1/", "https://127。0。0。1/", "https://8.8.8.8/"],
        ...["https://[::1]/", "https://[::]/", "https://[::ffff:127.0.0.1]/", "https://[::ffff:7f00:1]/"],
        ...[
          "https://[0:0:0:0:0:0:0:1]/",
          "https://[64:ff9b::7f00:1]/",
          "https://[fe80::1]/",
          "https://[2606:4700::1]/",
        ],
      ],
    ],
    [
      "private-name",
      [
        ...["https://localhost/", "https://LocalHost/", "https://localhost./", "https://localhost.../"],
        ...["https://foo.localhost/", "https://foo.localhost./", "https://localhost.localdomain/"],
        ...["https://foo.internal/", "https://a.b.foo.internal/", "https://foo.local/", "https://foo.lan/"],
        ...[
          "https://intranet/",
          "https://intranet./",
          "https://com/",
          "https://foo.home.arpa/",
          "https://foo.corp/",
        ],
        ...["https://1.0.0.127.in-addr.arpa/", "https://abc.onion/", "https://foo.test/", "https://foo.alt/"],
      ],
    ],
    ["too-long", [`https://hooks.acme.dev/${"x".repeat(2_049 - 23)}`]],
  ] as const)("%s", (problem, urls) => {
    for (const url of urls) expect(findUrlProblem(url, NONE), url).toBe(problem);
  });

  it("ip-address in every spelling of every IPv4 address", () => {
    const spell = fc.constantFrom(
      (byte: number) => String(byte),
      (byte: number) => `0x${byte.toString(16)}`,
      (byte: number) => `0${byte.toString(8)}`,
    );
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(255), spell), { minLength: 4, maxLength: 4 }),
        fc.nat(3),
        (parts, dots) => {
          const dotted = parts.map(([byte, write]) => write(byte)).join(".");
          expect(findUrlProblem(`https://${dotted}${".".repeat(dots)}/`, NONE)).toBe("ip-address");
          const number = parts.reduce((sum, [byte]) => sum * 256 + byte, 0);
          for (const whole of [String(number), `0x${number.toString(16)}`, `0${number.toString(8)}`]) {
            expect(findUrlProblem(`https://${whole}/`, NONE)).toBe("ip-address");
          }
        },
      ),
    );
  });

  it("ip-address in every spelling of every IPv6 address", () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.ipV6(),
          fc.ipV4().map((v4) => `::ffff:${v4}`),
        ),
        (address) => {
          expect(findUrlProblem(`https://[${address}]/`, NONE)).toBe("ip-address");
        },
      ),
    );
  });

  it("something or nothing, whatever text it is: it never throws, and what passes is https to a dotted name", () => {
    const text = fc.oneof(
      fc.webUrl({ validSchemes: ["https", "http"], withFragments: true, withQueryParameters: true }),
      fc.string({ unit: "binary" }),
      fc.string({ unit: "binary", maxLength: 30 }).map((rest) => `https://${rest}`),
    );
    fc.assert(
      fc.property(text, (url) => {
        if (findUrlProblem(url, NONE) !== undefined) return;
        const { protocol, hostname, port, username, password } = new URL(url);
        expect({ protocol, port, username, password }).toEqual({
          protocol: "https:",
          port: "",
          username: "",
          password: "",
        });
        expect(hostname).toMatch(/[^.]\.[^.]/);
        expect(hostname).not.toMatch(/^[\d.]+$|^\[|(^|\.)localhost\.*$/);
      }),
      { numRuns: 2_000 },
    );
  });
});

describe("PRIVATE_ALLOWLIST", () => {
  it("is host:port pairs, in any case, with spaces and empty entries", () => {
    expect(parseAllowlist(" LocalHost:8788, ,127.0.0.1:9000,")).toEqual(
      new Set(["localhost:8788", "127.0.0.1:9000"]),
    );
    expect(parseAllowlist(undefined)).toEqual(new Set());
    expect(parseAllowlist("")).toEqual(new Set());
  });

  const list = parseAllowlist("localhost:8788,127.0.0.1:80,[::1]:443,receiver.internal:443");

  it.each([
    "http://localhost:8788/hook",
    "https://localhost:8788/hook",
    "http://LOCALHOST:8788/",
    "http://127.0.0.1/",
    "http://0x7f000001/",
    "https://[::1]/",
    "https://receiver.internal/",
  ])("excepts %s", (url) => {
    expect(findUrlProblem(url, list)).toBeUndefined();
  });

  it.each([
    ["http://localhost:8789/", "not-https"],
    ["https://localhost/", "private-name"],
    ["http://foo.localhost:8788/", "not-https"],
    ["https://127.0.0.1/", "ip-address"],
    ["http://[::1]:443/", undefined],
    ["http://receiver.internal/", "not-https"],
    ["ftp://localhost:8788/", "not-https"],
    ["http://user@localhost:8788/", "has-credentials"],
    ["http://localhost.:8788/", "not-https"],
  ])("judges %s on its own: %s", (url, problem) => {
    expect(findUrlProblem(url, list)).toBe(problem);
  });

  it("excepts nothing by a pattern, a bare name or a bare port", () => {
    const loose = parseAllowlist("*:8788,localhost,:8788,*");
    expect(findUrlProblem("http://localhost:8788/", loose)).toBe("not-https");
    expect(findUrlProblem("https://localhost/", loose)).toBe("private-name");
  });
});
