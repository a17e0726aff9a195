// Words of the document for routes.
import type { components } from "../../api/openapi.gen.ts";

type Schemas = components["schemas"];

/** By the types that are made from what the daemon says of itself. */
export const ORIGINS = ["igp", "egp", "incomplete"] as const satisfies Schemas["DocumentCondition"]["origin"][];
export const ROLES = ["provider", "customer", "peer", "route-server", "route-server-client"] as const satisfies Schemas["DocumentConnectionBgp"]["role"][];
