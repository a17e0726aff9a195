// The document as it is, and as somebody would have it: a draft in this browser, which every tab of it shares.
import { ask, get, post, Refusal, wordsOf } from "./client.ts";
import { at, changes, merge, put, same, type Conflict } from "./difference.ts";
import type { Item, Json, Report, Violation } from "./model.ts";

const KEY = "causeway-draft";
/** So long after the last keystroke a draft is checked, in milliseconds. */
const PAUSE = 350;

interface Kept {
  user: string;
  /** What the draft began with. */
  generation: number;
  base: Item;
  document: Item;
  comment: string;
}

class Draft {
  /** What runs. */
  generation = $state(0);
  running = $state.raw<Item>({});
  known = $state(false);
  /** What somebody changed, if anything. */
  kept = $state.raw<Kept | null>(null);
  violations = $state.raw<Violation[]>([]);
  report = $state.raw<Report | null>(null);
  checking = $state(false);
  /** Why it could not be checked. */
  unchecked = $state("");
  /** Places that somebody else changed otherwise meanwhile. */
  conflicts = $state.raw<Conflict[]>([]);
  private user = "";
  private timer: ReturnType<typeof setTimeout> | undefined;

  working = $derived<Item>(this.kept?.document ?? this.running);
  changes = $derived(this.kept ? changes(this.kept.base, this.kept.document) : []);
  /** Another generation runs than that with which the draft began. */
  behind = $derived(this.kept !== null && this.kept.generation !== this.generation);

  constructor() {
    globalThis.addEventListener?.("storage", (event) => {
      if (event.key === KEY) this.recall();
    });
  }

  /** Reads what runs, and what this browser kept for this user. */
  async begin(user: string): Promise<void> {
    this.user = user;
    await this.read();
    this.recall();
  }

  /** Reads what runs now. */
  async read(): Promise<void> {
    const { value, generation } = await ask<Item>("/config");
    this.running = value;
    this.generation = generation ?? 0;
    this.known = true;
    if (this.kept && this.kept.generation !== this.generation) this.catchUp();
  }

  value(path: string[]): Json | undefined {
    return at(this.working, path);
  }

  /** Whether the draft says something else at a place than what it began with. */
  changed(path: string[]): boolean {
    return this.kept !== null && !same(at(this.kept.base, path), at(this.kept.document, path));
  }

  set(path: string[], value: Json | undefined): void {
    this.replace(put(this.working, path, value) as Item);
  }

  /** Takes a whole document as the draft; one that says what runs is none. */
  replace(document: Item): void {
    const kept = this.kept ?? this.fresh();
    const still = same(kept.base, document);
    this.keep(still && this.conflicts.length === 0 ? null : { ...kept, document });
  }

  say(comment: string): void {
    if (this.kept) this.keep({ ...this.kept, comment });
  }

  discard(): void {
    this.conflicts = [];
    this.keep(null);
  }

  /** What is wrong at a place or within it. */
  at(path: string, within = false): Violation[] {
    return this.violations.filter((found) => found.path === path || (within && found.path.startsWith(`${path}/`)));
  }

  /** Decides for a place that both changed. */
  resolve(conflict: Conflict, mine: boolean): void {
    this.conflicts = this.conflicts.filter((other) => other !== conflict);
    this.set(conflict.path, mine ? conflict.mine : conflict.theirs);
  }

  /** Commits the draft; with seconds, on trial. Throws what the API refused. */
  async commit(confirmWithin: number): Promise<Report> {
    const kept = this.kept;
    if (!kept) throw new Error("There is no draft.");
    try {
      const { value } = await ask<Report>("/config", {
        method: "PUT",
        body: kept.document,
        match: kept.generation,
        query: { confirm_within_s: confirmWithin, comment: kept.comment },
      });
      this.keep(null);
      await this.read();
      return value;
    } catch (thrown) {
      if (thrown instanceof Refusal && thrown.status === 412) await this.read();
      if (thrown instanceof Refusal && thrown.status === 422) this.violations = thrown.violations;
      throw thrown;
    }
  }

  async confirm(generation: number): Promise<void> {
    await post("/config:confirm", undefined, { match: generation });
    await this.read();
  }

  async rollBack(to: number, query: Record<string, string | number> = {}): Promise<void> {
    await post("/config:rollback", { generation: to }, { query });
    await this.read();
  }

  private fresh(): Kept {
    return { user: this.user, generation: this.generation, base: this.running, document: this.running, comment: "" };
  }

  /** Brings the draft onto what runs now; what both changed is asked about. */
  private catchUp(): void {
    const kept = this.kept;
    if (!kept) return;
    const { merged, conflicts } = merge(kept.base, kept.document, this.running);
    this.conflicts = conflicts;
    const document = merged as Item;
    const nothing = conflicts.length === 0 && same(document, this.running);
    this.keep(nothing ? null : { ...kept, generation: this.generation, base: this.running, document });
  }

  private keep(kept: Kept | null): void {
    this.kept = kept;
    if (kept) localStorage.setItem(KEY, JSON.stringify(kept));
    else localStorage.removeItem(KEY);
    this.look();
  }

  private recall(): void {
    const text = localStorage.getItem(KEY);
    let kept: Kept | null = null;
    try {
      kept = text ? (JSON.parse(text) as Kept) : null;
    } catch {
      localStorage.removeItem(KEY);
    }
    this.kept = kept && kept.user === this.user ? kept : null;
    if (this.kept && this.kept.generation !== this.generation) this.catchUp();
    else this.look();
  }

  private look(): void {
    clearTimeout(this.timer);
    if (!this.kept) {
      this.violations = [];
      this.report = null;
      this.checking = false;
      return;
    }
    this.checking = true;
    this.timer = setTimeout(() => void this.check(), PAUSE);
  }

  /** Has the box say what the draft would do. */
  async check(): Promise<void> {
    const kept = this.kept;
    if (!kept) return;
    this.unchecked = "";
    try {
      const report = await post<Report>("/config:check", kept.document);
      if (kept !== this.kept) return;
      this.report = report;
      this.violations = [];
    } catch (thrown) {
      if (kept !== this.kept) return;
      this.report = null;
      if (thrown instanceof Refusal && thrown.violations.length > 0) this.violations = thrown.violations;
      else this.unchecked = wordsOf(thrown);
    }
    this.checking = false;
  }
}

export const draft = new Draft();

/** The names of what a collection of the draft holds. */
export function namesOf(collection: string): string[] {
  return Object.keys((draft.value([collection]) ?? {}) as Item).sort();
}

/** Secrets by name, as far as they are told. */
export async function secretNames(): Promise<string[]> {
  return Object.keys(await get<Record<string, unknown>>("/secrets"));
}
