// How things stand, kept fresh: status by asking, events as they happen.
import { get, Refusal } from "./client.ts";
import { carried, lostBetween, type Carried } from "./traffic.ts";
import { needsAttention, type Connection, type Event, type Status } from "./model.ts";

/** Between two questions for the whole status, in milliseconds. */
const EVERY = 4000;
const KEPT_EVENTS = 200;

/** For how long losses are looked at together, in milliseconds. */
const WHILE = 60_000;

/** What passed a connection between the last two answers, in bits per second, and which share of the peer's packets was lost in the last minute. */
export interface Rate {
  in: number;
  out: number;
  lost: number;
}

type Sample = Carried & { at: number };

class Live {
  status = $state.raw<Status | null>(null);
  events = $state.raw<Event[]>([]);
  rates = $state.raw<Record<string, Rate>>({});
  /** The box does not answer, since when in milliseconds. */
  silentSince = $state<number | null>(null);
  /** When the last status came, by this browser's clock. */
  at = $state(0);
  private samples: Record<string, Sample[]> = {};
  private timer: ReturnType<typeof setTimeout> | undefined;
  private source: EventSource | null = null;
  private asking: Promise<void> | null = null;

  names = $derived.by(() => {
    const connections = this.status?.connections ?? {};
    const rank = (name: string) => (needsAttention(connections[name] as Connection) ? 0 : 1);
    return Object.keys(connections).sort((one, other) => rank(one) - rank(other) || one.localeCompare(other));
  });

  start(): void {
    void this.refresh();
    this.listen();
  }

  stop(): void {
    clearTimeout(this.timer);
    this.source?.close();
    this.source = null;
  }

  /** Asks now; whoever asks meanwhile waits for the same answer. */
  refresh(): Promise<void> {
    this.asking ??= this.question().finally(() => {
      this.asking = null;
    });
    return this.asking;
  }

  private async question(): Promise<void> {
    clearTimeout(this.timer);
    try {
      const status = await get<Status>("/status");
      this.at = Date.now();
      this.measure(status);
      this.status = status;
      this.silentSince = null;
    } catch (thrown) {
      if (thrown instanceof Refusal && thrown.status === 401) return;
      this.silentSince ??= Date.now();
    }
    this.timer = setTimeout(() => void this.refresh(), this.silentSince ? 1500 : EVERY);
  }

  private measure(status: Status): void {
    const rates: Record<string, Rate> = {};
    for (const [name, connection] of Object.entries(status.connections)) {
      const sample = { at: this.at, ...carried(connection) };
      const before = (this.samples[name] ?? []).filter((known) => sample.at - known.at < WHILE);
      const last = before.at(-1);
      if (last && sample.at > last.at) {
        const seconds = (sample.at - last.at) / 1000;
        rates[name] = {
          in: (Math.max(0, sample.in - last.in) * 8) / seconds,
          out: (Math.max(0, sample.out - last.out) * 8) / seconds,
          lost: lostBetween(before[0] ?? last, sample),
        };
      }
      this.samples[name] = [...before, sample];
    }
    this.rates = rates;
  }

  private listen(): void {
    this.source?.close();
    void get<{ events: Event[] }>("/events", { limit: 50 }).then(
      ({ events }) => this.take(events),
      () => undefined,
    );
    const source = new EventSource("/api/v1/events");
    source.onmessage = (message: MessageEvent<string>) => {
      this.take([JSON.parse(message.data) as Event]);
      clearTimeout(this.timer);
      this.timer = setTimeout(() => void this.refresh(), 150);
    };
    this.source = source;
  }

  private take(events: Event[]): void {
    const known = new Map(this.events.map((event) => [event.id, event]));
    for (const event of events) known.set(event.id, event);
    this.events = [...known.values()].sort((one, other) => other.id - one.id).slice(0, KEPT_EVENTS);
  }
}

export const live = new Live();
