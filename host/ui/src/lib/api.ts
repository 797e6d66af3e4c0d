/** The API, and who is logged in. Nothing here asks any other host. */
import { session } from "./session.svelte";

/** An error with what the server said: what was wrong, and the way out. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    detail: string,
  ) {
    super(detail);
  }
}

async function ask<T>(method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<T> {
  const headers: Record<string, string> = { accept: "application/json" };
  if (method !== "GET") headers["x-dnsvet-csrf"] = "1";
  if (body !== undefined) headers["content-type"] = "application/json";
  let response: Response;
  try {
    response = await fetch(path, {
      method,
      headers,
      body: body === undefined ? null : JSON.stringify(body),
      signal: signal ?? null,
    });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new ApiError(0, "dnsvet does not answer. Is it running? It is asked again on the next action.");
  }
  if (response.status === 204) return undefined as T;
  const said: unknown = await response.json().catch(() => null);
  if (response.ok) return said as T;
  if (response.status === 401 && path !== "/api/v1/login") session.me = null;
  const detail = said !== null && typeof said === "object" && "detail" in said ? String(said.detail) : response.statusText;
  throw new ApiError(response.status, detail);
}

export const get = <T>(path: string, signal?: AbortSignal) => ask<T>("GET", path, undefined, signal);
export const post = <T>(path: string, body?: unknown) => ask<T>("POST", path, body);

/** What an error says to a person. */
export const said = (error: unknown) => (error instanceof Error ? error.message : String(error));
