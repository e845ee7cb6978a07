/** What fakes of no name have in common: keys are listed by their label and ended by their id. */
import { FakeService } from "./fake.ts";

export abstract class LabelledService extends FakeService {
  protected listed(label: string): Response {
    const found = this.credentials.filter((one) => this.isLive(one) && one.label === label);
    return Response.json({ keys: found.map(({ reference }) => ({ id: reference, label })) });
  }

  protected removed(id: string): Response {
    const one = this.byReference(id);
    if (!one || !this.isLive(one)) return Response.json({ code: "unknown" }, { status: 404 });
    this.end(one);
    return new Response(null, { status: 204 });
  }

  protected unauthorized(): Response {
    return Response.json({ code: "unauthorized" }, { status: 401 });
  }
}
