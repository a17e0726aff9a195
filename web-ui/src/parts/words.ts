// Reason words in plain words. The word itself stays beside them: it is the same in API, log and command line.
import type { Connection, Event, IkeLogLine, Outage } from "../api/model.ts";
import { duration } from "./format.ts";

const PLAIN: Record<string, string> = {
  starting: "It is being negotiated for the first time.",
  "ike-proposal-mismatch": "The two sides have no IKE algorithms in common.",
  "child-proposal-mismatch": "The two sides have no algorithms for traffic in common.",
  "selector-mismatch": "The two sides do not agree on which networks the tunnel is for.",
  "key-exchange-group-refused": "The other side does not take the key-exchange group.",
  "authentication-failed": "The proof of who is there was not accepted: most often the secrets differ.",
  "peer-identity-unexpected": "The other side says it is somebody else.",
  "name-does-not-resolve": "The name of the other side cannot be looked up.",
  "peer-unreachable": "Nobody answers at the other side's address.",
  "peer-silent": "The other side answered before and then fell silent.",
  "datapath-refused": "This machine could not set up what carries the packets.",
  "deleted-by-peer": "The other side closed the tunnel.",
  idle: "Nothing passed for a while; the next packet brings it up.",
  "lifetime-ended": "The keys ended before new ones were agreed.",
  configuration: "By its settings it waits for the other side to start.",
  "no-address": "The outer address that it needs is not there.",
  "port-in-use": "Another program has the port that it needs.",
  "secret-unusable": "Its secret is missing or cannot be opened.",
  "disconnected-by-admin": "Somebody disconnected it.",
  "reset-by-admin": "Somebody reset it.",
  "clock-not-synchronised": "No time server has set the clock of this machine.",
  clock: "The clock of this machine cannot be right.",
  "certificate-revoked": "The other side's certificate is revoked.",
};

/** Why something is down, in a sentence. */
export function plain(outage: Outage): string {
  const said = PLAIN[outage.reason];
  if (said) return said;
  const side = outage.side === "peer" ? "the other side" : "this side";
  return `${sentence(outage.reason)}, as ${side} found at ${outage.stage}.`;
}

/** Parts of words that are written in capitals, or partly so. */
const WRITTEN: Record<string, string> = { bfd: "BFD", bgp: "BGP", dns: "DNS", esp: "ESP", ike: "IKE", ikev2: "IKEv2", mtu: "MTU", nat: "NAT" };

/** A kebab-case word as the beginning of a sentence. */
export function sentence(word: string): string {
  const words = word
    .split("-")
    .map((part) => WRITTEN[part] ?? part)
    .join(" ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** How a connection stands, in a few words. */
export function standing(connection: Connection): string {
  if (connection.state === "disabled") return "switched off";
  const since = duration(connection.since_s);
  if (connection.state === "up") return connection.standby ? `standby, up for ${since}` : `up for ${since}`;
  return `${connection.state} for ${since}`;
}

/** An event in a line. */
export function told(event: Pick<Event, "event" | "reason" | "detail" | "author" | "generation" | "object">): string {
  const parts = [sentence(event.event)];
  if (event.generation) parts.push(`generation ${event.generation}`);
  if (event.object) parts.push(event.object);
  if (event.reason) parts.push(event.reason);
  if (event.detail) parts.push(event.detail);
  if (event.author) parts.push(`by ${event.author}`);
  return parts.join(" · ");
}

/** The log with a line more; of dead-peer checks in a row the last two messages stay, as the box keeps them. */
export function withLine(lines: IkeLogLine[], line: IkeLogLine): IkeLogLine[] {
  const all = [...lines, line];
  const folds = all.length > 2 && all.slice(-3).every((one) => one.checks);
  return folds ? all.toSpliced(-3, 1) : all;
}

/** A line of the log of IKE without its moment, as the command line has it. */
export function logged(line: IkeLogLine): string {
  const message = [line.side, line.exchange, line.message].filter(Boolean).join(" ");
  const again = line.retransmission ? ` (retransmission ${line.retransmission})` : "";
  const row = (line.checks ?? 0) > 1 ? ` (${line.checks} checks in a row)` : "";
  const parts = [message + again + row, line.says, line.event, line.reason].filter(Boolean).join(": ");
  const told = [line.offered ? `; offered ${line.offered}` : "", line.expected ? `; expected ${line.expected}` : ""];
  return parts + told.join("");
}
