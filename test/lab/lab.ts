/** All services of the lab behind one address, each under its own name: `<base>/<kind>/…`. */
import { KIND_NAMES, KINDS, type KindName } from "./kinds.ts";
import { type Asked, Service, type ServiceOptions } from "./service.ts";

export class Lab {
  readonly services: ReadonlyMap<string, Service>;

  constructor(options: ServiceOptions = {}) {
    this.services = new Map(KIND_NAMES.map((name) => [name, new Service(name, KINDS[name], options)]));
  }

  service(name: KindName): Service {
    const service = this.services.get(name);
    if (!service) throw new Error(`the lab has no ${name}`);
    return service;
  }

  /** Serves one request to any of them. */
  async handle(request: Asked): Promise<Response> {
    const [, name = ""] = new URL(request.url).pathname.split("/");
    const service = this.services.get(name);
    return service ? service.handle(request) : new Response(null, { status: 404 });
  }
}
