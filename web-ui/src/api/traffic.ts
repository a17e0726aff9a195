// What passed a connection, from the box's counts.
import type { Connection } from "./model.ts";

/** Octets by direction; packets that came from the peer, and that it sent and did not arrive. */
export interface Carried {
  in: number;
  out: number;
  packets: number;
  lost: number;
}

/** What passed a connection since the daemon began, in octets; packets that came from the peer, and that did not arrive. */
export function carried(connection: Connection): Carried {
  const { bytes_in, bytes_out, packets_in, packets_lost } = connection.carried;
  return { in: bytes_in, out: bytes_out, packets: packets_in, lost: packets_lost };
}

/** Which share of what the peer sent between two looks did not arrive, of 1. A daemon that began anew counts from nothing. */
export function lostBetween(before: Carried, now: Carried): number {
  const lost = Math.max(0, now.lost - before.lost);
  const sent = lost + Math.max(0, now.packets - before.packets);
  return sent === 0 ? 0 : lost / sent;
}
