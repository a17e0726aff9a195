// In what documents differ, and how two changes of one document come together. Pure.
import type { Item, Json } from "./model.ts";

/** One place at which two documents differ; undefined is what is not there. */
export interface Change {
  path: string[];
  before?: Json | undefined;
  after?: Json | undefined;
}

/** A place that both changed, each in another way. */
export interface Conflict {
  path: string[];
  base?: Json | undefined;
  mine?: Json | undefined;
  theirs?: Json | undefined;
}

export function isItem(value: Json | undefined): value is Item {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Whether two values say the same, whatever the order of their members. */
export function same(one: Json | undefined, other: Json | undefined): boolean {
  if (Array.isArray(one) && Array.isArray(other)) {
    return one.length === other.length && one.every((value, at) => same(value, other[at]));
  }
  if (isItem(one) && isItem(other)) {
    const names = new Set([...Object.keys(one), ...Object.keys(other)]);
    return [...names].every((name) => same(one[name], other[name]));
  }
  return one === other;
}

/** Every place at which two documents differ; lists are compared as a whole. */
export function changes(before: Json | undefined, after: Json | undefined, path: string[] = []): Change[] {
  if (isItem(before) && isItem(after)) {
    const names = [...new Set([...Object.keys(before), ...Object.keys(after)])].sort();
    return names.flatMap((name) => changes(before[name], after[name], [...path, name]));
  }
  return same(before, after) ? [] : [{ path, before, after }];
}

/** What stands at a place; in a list a position is the name. */
export function at(value: Json | undefined, path: string[]): Json | undefined {
  return path.reduce<Json | undefined>((within, name) => (Array.isArray(within) ? within[Number(name)] : isItem(within) ? within[name] : undefined), value);
}

/** The same document with another value at a place; undefined takes it away. Objects on the way are made, elements of lists are not. */
export function put(document: Json | undefined, path: string[], value: Json | undefined): Json {
  const [name, ...rest] = path;
  if (name === undefined) return value ?? {};
  if (Array.isArray(document)) {
    const place = Number(name);
    if (rest.length === 0 && value === undefined) return document.filter((_, at) => at !== place);
    return document.map((element, at) => (at === place ? put(element, rest, value) : element));
  }
  const item = isItem(document) ? { ...document } : {};
  if (rest.length > 0) {
    if (value === undefined && item[name] === undefined) return item;
    item[name] = put(item[name], rest, value);
  } else if (value === undefined) {
    delete item[name];
  } else {
    item[name] = value;
  }
  return item;
}

/** Whether one place lies at or within the other. */
function touches(one: string[], other: string[]): boolean {
  const length = Math.min(one.length, other.length);
  return one.slice(0, length).every((name, index) => name === other[index]);
}

/** Their document with what we changed since the base, but for places that both changed in different ways. */
export function merge(base: Json, mine: Json, theirs: Json): { merged: Json; conflicts: Conflict[] } {
  const foreign = changes(base, theirs);
  const conflicts: Conflict[] = [];
  let merged = theirs;
  for (const change of changes(base, mine)) {
    const met = foreign.find((other) => touches(other.path, change.path));
    const path = met && met.path.length < change.path.length ? met.path : change.path;
    if (!met) merged = put(merged, change.path, change.after);
    else if (!same(at(mine, path), at(theirs, path)) && !conflicts.some((known) => same(known.path, path))) {
      conflicts.push({ path, base: at(base, path), mine: at(mine, path), theirs: at(theirs, path) });
    }
  }
  return { merged, conflicts };
}

/** A place as the API writes it: a JSON pointer (RFC 6901). */
export function pointer(path: string[]): string {
  return path.map((name) => `/${name.replaceAll("~", "~0").replaceAll("/", "~1")}`).join("");
}
