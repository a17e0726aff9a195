// What needs attention beside connections. Pure.
import type { Status } from "../../api/model.ts";
import { plain } from "../../parts/words.ts";

export interface Matter {
  title: string;
  words: string;
  reason: string;
  next: string;
}

export function matters(status: Status): Matter[] {
  const found: Matter[] = [];
  const { store, machine_key: key } = status.configuration;
  if (store) found.push({ title: "Store", words: store.detail, reason: store.reason, next: "" });
  if (key?.reason) {
    found.push({ title: "Machine key", words: `${key.detail}.`, reason: key.reason, next: "Set the secrets of connections that are down again, or have the TPM back." });
  }
  const { outage } = status.clock;
  if (outage) found.push({ title: "Clock", words: plain(outage), reason: outage.reason, next: outage.next_step });
  for (const refused of status.kernel.refused) {
    found.push({ title: "Kernel", words: `${refused.object}: ${refused.detail}.`, reason: "kernel-refused", next: "" });
  }
  for (const [name, state] of Object.entries(status.interfaces)) {
    if (state.outage) {
      found.push({ title: `Interface ${name}`, words: plain(state.outage), reason: state.outage.reason, next: state.outage.next_step });
    }
  }
  if (status.nat?.refused) {
    found.push({ title: "NAT", words: status.nat.refused.detail, reason: "kernel-refused", next: "" });
  }
  return found;
}
