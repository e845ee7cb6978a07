/** The direction of dependencies: an import may only point to a layer below. */
import { describe, expect, it } from "vitest";

/** From the top down. Folders on one line do not import each other, those joined by `+` may. */
const LAYERS = [
  ["index", "local"],
  ["app"],
  ["mcp", "signals"],
  ["api"],
  ["keyring"],
  ["rotation", "registry"],
  ["providers+destinations+issuer+events"],
  ["outbound"],
  ["store"],
  ["env", "ids"],
  ["crypto"],
  ["errors", "result", "duration", "remote"],
];

const sources = import.meta.glob<string>("../src/**/*.ts", { query: "?raw", import: "default", eager: true });

interface Layer {
  rank: number;
  group: string;
}

function layerOf(path: string): Layer {
  const top = path.split("/")[0]?.replace(/\.ts$/, "") ?? "";
  for (const [rank, groups] of LAYERS.entries()) {
    const group = groups.find((name) => name.split("+").includes(top));
    if (group) return { rank, group };
  }
  throw new Error(`src/${path} belongs to no layer`);
}

function importsOf(path: string, source: string): string[] {
  const folder = path.split("/").slice(0, -1);
  return [...source.matchAll(/from "(\.[^"]+)"/g)].map(([, target = ""]) => {
    const parts = [...folder];
    for (const part of target.split("/")) {
      if (part === "..") parts.pop();
      else if (part !== ".") parts.push(part);
    }
    return parts.join("/");
  });
}

describe("the layers of src", () => {
  const files = Object.entries(sources).map(([key, source]) => ({
    path: key.replace("../src/", ""),
    source,
  }));

  it("are all found", () => {
    expect(files.length).toBeGreaterThan(50);
  });

  it("import only what lies below", () => {
    const wrong = files.flatMap(({ path, source }) => {
      const from = layerOf(path);
      return importsOf(path, source)
        .filter((target) => {
          const to = layerOf(target);
          return to.rank < from.rank || (to.rank === from.rank && to.group !== from.group);
        })
        .map((target) => `${path} -> ${target}`);
    });
    expect(wrong).toEqual([]);
  });
});
