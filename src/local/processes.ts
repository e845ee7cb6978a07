/** The processes of this machine by the name they were started as. */
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";

export interface RunningProcess {
  pid: number;
  /** The first word of the command line: the program as it was called. */
  command: string;
}

/** All running processes; one that ended and was not collected yet counts as gone. */
export function listProcesses(): RunningProcess[] {
  return existsSync("/proc/self/cmdline") ? fromProc() : fromPs();
}

function fromProc(): RunningProcess[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        const [command = ""] = readFileSync(`/proc/${name}/cmdline`, "utf8").split("\0");
        return [{ pid: Number(name), command }];
      } catch {
        return [];
      }
    });
}

/** `ps` does not say where the program's name ends; the runtime's first argument does. */
function fromPs(): RunningProcess[] {
  return execFileSync("ps", ["-axww", "-o", "pid=,args="], { encoding: "utf8" })
    .split("\n")
    .flatMap((line) => {
      const match = /^\s*(\d+)\s+(.*?)(?: serve .*)?$/.exec(line);
      return match ? [{ pid: Number(match[1]), command: match[2] ?? "" }] : [];
    });
}
