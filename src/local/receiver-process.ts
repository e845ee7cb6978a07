/** Starts the receiver in a process of its own and hears what it has to tell. */
import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { type Notice, noticeSchema, type Order } from "./receiver-protocol.ts";

const PROGRAM = fileURLToPath(new URL("receiver.ts", import.meta.url));

export class Receiver {
  readonly #child: ChildProcess;
  readonly #notices: Notice[] = [];
  #listener: (notice: Notice) => void = () => undefined;
  /** Set when it ended without being stopped. */
  died: string | undefined;

  constructor() {
    // No secret of this process's environment is any business of the receiver's.
    const env = { PATH: process.env.PATH };
    this.#child = spawn(process.execPath, [PROGRAM], { stdio: ["ignore", "inherit", "inherit", "ipc"], env });
    this.#child.on("message", (message) => {
      const notice = noticeSchema.parse(message);
      this.#notices.push(notice);
      this.#listener(notice);
    });
    this.#child.on("error", (error) => {
      this.died = `the receiver's process failed (${error.message})`;
    });
    this.#child.on("exit", (code, signal) => {
      this.died = `the receiver's process ended (${signal ?? `code ${code}`})`;
    });
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** All that it told so far, oldest first. */
  get notices(): readonly Notice[] {
    return this.#notices;
  }

  /** Calls for each notice from now on. */
  onNotice(listener: (notice: Notice) => void): void {
    this.#listener = listener;
  }

  order(order: Order): void {
    this.#child.send(order);
  }

  /** Ends it, whatever state it is in. */
  stop(): void {
    this.#child.kill("SIGKILL");
  }
}
