// Which sessions fare otherwise by a draft, because of one of its policies. Pure.
import { at, same } from "../../api/difference.ts";
import type { Item } from "../../api/model.ts";

/** What comes from a neighbour, or what goes to it. */
export interface Use {
  neighbour: string;
  direction: "import" | "export";
}

/** The uses of a policy, in the draft or in what runs, by which routes are judged otherwise in the draft. */
export function affected(running: Item, draft: Item, policy: string): Use[] {
  const uses: Use[] = [];
  for (const neighbour of Object.keys((at(running, ["connections"]) ?? {}) as Item).sort()) {
    for (const direction of ["import", "export"] as const) {
      const [before, after] = [running, draft].map((document) => at(document, ["connections", neighbour, "bgp", direction]));
      if (before !== policy && after !== policy) continue;
      if (at(running, ["connections", neighbour, "bgp"]) === undefined || at(draft, ["connections", neighbour, "bgp"]) === undefined) continue;
      const rules = (document: Item, name: unknown) => (typeof name === "string" ? at(document, ["route_policies", name]) : undefined);
      if (before !== after || !same(rules(running, before), rules(draft, after))) uses.push({ neighbour, direction });
    }
  }
  return uses;
}
