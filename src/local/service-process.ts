/**
 * Starts the fake of a service outside in a process of its own: the lab's, which tests hold against the service's contract. The demo is for
 * who has the repository, so it may start what lies under test; nothing of that is imported.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { type Beginning, type Question, type Tiding, tidingSchema } from "./service-protocol.ts";

const PROGRAM = fileURLToPath(new URL("../../test/lab/node/fake-process.ts", import.meta.url));

export type Called = Extract<Tiding, { kind: "called" }>;

export class Service {
  readonly #child: ChildProcess;
  readonly #answers = new Map<number, (opens: boolean) => void>();
  #listener: (called: Called) => void = () => undefined;
  #asked = 0;
  /** Each call that it answered, oldest first. */
  readonly calls: Called[] = [];
  /** Where it is and how a key there begins, once it listens. */
  ready: { url: string; beginning: Beginning } | undefined;
  /** Set when it ended without being stopped. */
  died: string | undefined;

  /** @param name of the provider */
  constructor(name: string) {
    const env = { PATH: process.env.PATH };
    this.#child = spawn(process.execPath, [PROGRAM, name], {
      stdio: ["ignore", "inherit", "inherit", "ipc"],
      env,
    });
    this.#child.on("message", (message) => this.#take(tidingSchema.parse(message)));
    this.#child.on("error", (error) => {
      this.died = `the service's process failed (${error.message})`;
    });
    this.#child.on("exit", (code, signal) => {
      this.died = `the service's process ended (${signal ?? `code ${code}`})`;
    });
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** Calls for each call from now on. */
  onCall(listener: (called: Called) => void): void {
    this.#listener = listener;
  }

  /** Whether a value opens something there now. */
  opens(digest: string): Promise<boolean> {
    this.#asked += 1;
    const asked: Question = { question: this.#asked, digest };
    return new Promise((resolve) => {
      this.#answers.set(asked.question, resolve);
      this.#child.send(asked);
    });
  }

  /** Ends it, whatever state it is in. */
  stop(): void {
    this.#child.kill("SIGKILL");
  }

  #take(tiding: Tiding): void {
    switch (tiding.kind) {
      case "ready":
        this.ready = tiding;
        break;
      case "called":
        this.calls.push(tiding);
        this.#listener(tiding);
        break;
      case "told":
        this.#answers.get(tiding.question)?.(tiding.opens);
        this.#answers.delete(tiding.question);
        break;
    }
  }
}
