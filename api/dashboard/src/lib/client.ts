/** The HTTP API. Every failure is an ApiError whose words can be shown. */

import { BASE } from "./base";

/** What went wrong, in words; `fix` says what to do about it. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly fix = "",
    readonly field = "",
    readonly column = 0,
    readonly requestId = "",
    readonly retryAfterSeconds = 0,
  ) {
    super(message);
    this.name = "ApiError";
  }
}

export type Params = Record<string, string | number | undefined>;

let csrf = "";
let skewMs = 0;
const lost = new Set<() => void>();

/** The token that changes by cookie must carry. */
export function setCsrf(token: string): void {
  csrf = token;
}

/** Called whenever an answer says that there is no session (any more). */
export function onSessionLost(listener: () => void): () => void {
  lost.add(listener);
  return () => lost.delete(listener);
}

/** Milliseconds since 1970 by the server's clock: ranges of charts must not depend on the viewer's. */
export function serverNow(): number {
  return Date.now() + skewMs;
}

function learnClock(response: Response): void {
  const at = Date.parse(response.headers.get("Date") ?? "");
  if (Number.isNaN(at)) return;
  const difference = at + 500 - Date.now();
  skewMs = Math.abs(difference) > 3000 ? difference : 0; // the header has whole seconds
}

/** The address of an endpoint with its parameters; those without a value are left out. */
export function address(path: string, params: Params = {}): string {
  const given = Object.entries(params).filter((pair): pair is [string, string | number] => pair[1] !== undefined && pair[1] !== "");
  const text = new URLSearchParams(given.map(([name, value]) => [name, String(value)])).toString();
  return `${BASE}${path}${text ? `?${text}` : ""}`;
}

/** Send a request and hand back the response if it succeeded. Raises ApiError. */
export async function send(method: string, path: string, options: { params?: Params; body?: unknown; signal?: AbortSignal; headers?: Record<string, string> } = {}): Promise<Response> {
  const headers: Record<string, string> = { Accept: "application/json", ...options.headers };
  if (options.body !== undefined) headers["Content-Type"] = "application/json";
  if (method !== "GET" && csrf) headers["X-CSRF-Token"] = csrf;
  let response: Response;
  try {
    response = await fetch(address(path, options.params), {
      method,
      headers,
      credentials: "same-origin",
      body: options.body === undefined ? undefined : JSON.stringify(options.body),
      signal: options.signal,
    });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new ApiError(0, "The server does not answer", "Is `monitoring up` running, and is this device online? It is tried again by itself.");
  }
  learnClock(response);
  if (response.ok) return response;
  if (response.status === 401 && path !== "/api/v1/session") for (const listener of lost) listener();
  throw await problem(response);
}

async function problem(response: Response): Promise<ApiError> {
  const retry = Number(response.headers.get("Retry-After") ?? 0) || 0;
  const found = (await response.json().catch(() => null)) as Record<string, unknown> | null;
  if (found === null) return new ApiError(response.status, `The server answered ${response.status}`, "", "", 0, "", retry);
  const text = (name: string) => (typeof found[name] === "string" ? found[name] : "");
  const words = text("detail") || text("error") || text("title") || `The server answered ${response.status}`;
  return new ApiError(response.status, words, text("fix"), text("field"), Number(found.column) || 0, text("request_id"), retry);
}

/** The JSON of a GET. */
export async function get<T>(path: string, params: Params = {}, signal?: AbortSignal): Promise<T> {
  return (await (await send("GET", path, { params, signal })).json()) as T;
}

/** Change something; the JSON of the answer, or undefined where it has none. */
export async function change<T = unknown>(method: "POST" | "PUT" | "DELETE" | "PATCH", path: string, body?: unknown): Promise<T> {
  const response = await send(method, path, { body });
  const text = await response.text();
  return (text ? JSON.parse(text) : undefined) as T;
}

/** Any error in words. */
export function inWords(error: unknown): { text: string; fix: string; id: string } {
  if (error instanceof ApiError) return { text: capital(error.message), fix: error.fix, id: error.requestId };
  return { text: error instanceof Error ? error.message : String(error), fix: "", id: "" };
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
