// Words of the document for routes.
import type { components } from "../../api/openapi.gen.ts";

/** By the types that are made from what the daemon says of itself. */
export const ORIGINS = ["igp", "egp", "incomplete"] as const satisfies components["schemas"]["DocumentCondition"]["origin"][];
