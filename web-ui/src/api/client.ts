// Every request of the console goes through here.
import type { Json, Problem, Violation } from "./model.ts";

const ROOT = "/api/v1";

/** What the API refused, in its words. */
export class Refusal extends Error {
  readonly status: number;
  readonly reason: string;
  readonly violations: Violation[];

  constructor(problem: Problem) {
    super(problem.detail);
    this.status = problem.status;
    this.reason = problem.reason;
    this.violations = problem.violations ?? [];
  }
}

/** No answer came: the machine, or the way to it, is gone. */
export class Silence extends Error {}

interface Asked {
  method?: string;
  body?: Json | string | undefined;
  /** The generation that is changed. */
  match?: number | "*" | undefined;
  query?: Record<string, string | number | undefined>;
  media?: string;
}

export interface Answer<T> {
  value: T;
  /** The generation of the document, where the answer has one. */
  generation: number | null;
}

type Listener = (refusal: Refusal) => void;
let signedOut: Listener = () => undefined;
let csrf: string | null = null;

/** Who is told when a request is refused because nobody is signed in. */
export function onSignedOut(listener: Listener): void {
  signedOut = listener;
}

/** What writes repeat from the session. */
export function carry(token: string | null): void {
  csrf = token;
}

/** Asks the API and gives its answer, or throws a `Refusal` or a `Silence`. */
export async function ask<T>(path: string, asked: Asked = {}): Promise<Answer<T>> {
  const headers: Record<string, string> = {};
  if (csrf && asked.method && asked.method !== "GET") headers["X-Csrf-Token"] = csrf;
  if (asked.match !== undefined) headers["If-Match"] = asked.match === "*" ? "*" : `"${asked.match}"`;
  const text = typeof asked.body === "string" ? asked.body : JSON.stringify(asked.body);
  if (asked.body !== undefined) {
    headers["Content-Type"] = asked.media ?? (typeof asked.body === "string" ? "application/octet-stream" : "application/json");
  }
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(asked.query ?? {})) {
    if (value !== undefined && value !== "") query.set(name, String(value));
  }
  const address = `${ROOT}${path}${query.size > 0 ? `?${query}` : ""}`;
  const response = await send(address, { method: asked.method ?? "GET", headers, ...(text === undefined ? {} : { body: text }) });
  if (!response.ok) throw await refused(response, path);
  const tag = response.headers.get("ETag")?.replaceAll('"', "");
  const json = response.headers.get("Content-Type")?.includes("json") ?? false;
  const value = (json ? await response.json() : undefined) as T;
  return { value, generation: tag ? Number(tag) : null };
}

async function send(address: string, init: RequestInit, signal: AbortSignal | null = AbortSignal.timeout(30_000)): Promise<Response> {
  try {
    return await fetch(address, { ...init, cache: "no-store", signal });
  } catch {
    throw new Silence("The box does not answer.");
  }
}

async function refused(response: Response, path: string): Promise<Refusal> {
  let problem: Problem = {
    title: "",
    status: response.status,
    reason: "no-reason",
    detail: `The box answered ${response.status} without a reason.`,
  };
  try {
    problem = (await response.json()) as Problem;
  } catch {
    // What stands between may answer in its own words.
  }
  const refusal = new Refusal(problem);
  if (response.status === 401 && path !== "/session") signedOut(refusal);
  return refusal;
}

/** The same without the generation. */
export async function get<T>(path: string, query: Asked["query"] = {}): Promise<T> {
  return (await ask<T>(path, { query })).value;
}

export async function post<T>(path: string, body?: Json, more: Asked = {}): Promise<T> {
  return (await ask<T>(path, { method: "POST", body, ...more })).value;
}

/** Sends a file as it is, however long that takes. */
export async function upload<T>(path: string, file: Blob, query: Record<string, string>): Promise<T> {
  const headers = { "Content-Type": "application/octet-stream", ...(csrf ? { "X-Csrf-Token": csrf } : {}) };
  const response = await send(`${ROOT}${path}?${new URLSearchParams(query)}`, { method: "POST", headers, body: file }, null);
  if (!response.ok) throw await refused(response, path);
  return (await response.json()) as T;
}

/** The file that is made of this, however long that takes. */
export async function download(path: string, body: Json, signal: AbortSignal): Promise<Blob> {
  const headers = { "Content-Type": "application/json", ...(csrf ? { "X-Csrf-Token": csrf } : {}) };
  const response = await send(`${ROOT}${path}`, { method: "POST", headers, body: JSON.stringify(body) }, signal);
  if (!response.ok) throw await refused(response, path);
  try {
    return await response.blob();
  } catch {
    throw new Silence("The file broke off.");
  }
}

/** What to tell of whatever was thrown. */
export function wordsOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

/** A name as it stands in a path. */
export function segment(name: string): string {
  return encodeURIComponent(name);
}
