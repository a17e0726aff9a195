// Keys of TCP-AO (RFC 5925), as the document has them.
import type { Item } from "../../api/model.ts";

/** One more key of a session: the lowest id that is free both ways, and a secret named by it. */
export function another(name: string, keys: Item[]): Item {
  const taken = keys.flatMap((key) => [key["send_id"], key["receive_id"]]);
  const id = Array.from({ length: 255 }, (_, number) => number + 1).find((number) => !taken.includes(number)) ?? 0;
  return { secret: `bgp-ao-${name.slice(0, 50)}-${id}`, send_id: id, receive_id: id };
}
