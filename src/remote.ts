/**
 * A Durable Object's methods as they are over RPC: each answers a promise. The generated stub types give up on records of
 * unknown values, which every JSON answer holds.
 */
export type Remote<Class> = {
  [Method in keyof Class as Class[Method] extends (...args: never[]) => unknown
    ? Method
    : never]: Class[Method] extends (...args: infer Args) => infer Answer
    ? (...args: Args) => Promise<Awaited<Answer>>
    : never;
};
