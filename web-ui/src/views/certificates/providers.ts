// Who may hold private keys.
import { draft } from "../../api/draft.svelte.ts";
import type { Item } from "../../api/model.ts";

export type Kind = "file" | "pkcs11" | "key-vault";

/** Each kind in words. */
export const KINDS: [Kind, string][] = [
  ["file", "a file, sealed on this box"],
  ["pkcs11", "a token (PKCS#11)"],
  ["key-vault", "Azure Key Vault"],
];

/** What one of each kind begins with, and what it is called where nobody says otherwise. */
export const BEGUN: Record<Kind, { name: string; item: Item }> = {
  file: { name: "files", item: { kind: "file" } },
  pkcs11: { name: "token", item: { kind: "pkcs11", module: "", pin: "token-pin" } },
  "key-vault": { name: "vault", item: { kind: "key-vault", identity: { managed: "system-assigned" } } },
};

/** The kind of a provider of the draft. */
export function kindOf(name: string): Kind | undefined {
  return draft.value(["key_providers", name, "kind"]) as Kind | undefined;
}
