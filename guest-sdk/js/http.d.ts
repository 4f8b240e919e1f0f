// Asking other hosts over HTTP: those that the operator lists for this policy. Needs "http" under "uses" in policy.json.

export { HttpError } from './errors.js';

export interface Sending {
  /** Those that say how the request travels (`host`, `connection`, ...) are the host's. */
  headers?: Record<string, string>;
  /** How long the whole answer may take; 5000 where nothing is said, and less where the host has a smaller bound. */
  withinMs?: number;
  /** Bytes of the answer's body; 1 MiB where nothing is said, and fewer where the host has a smaller bound. */
  bytesMax?: number;
}

/** An answer, whatever its status. */
export interface Response {
  readonly status: number;
  readonly headers: [string, string][];
  readonly bytes: Uint8Array;
  /** The first header of this name. */
  header(name: string): string | undefined;
  text(): string;
  json(): any;
}

/**
 * Asks for what is at `url`, and waits for the whole answer.
 * @throws HttpError
 */
export function get(url: string, how?: Sending): Response;

/**
 * Sends a text or bytes to `url`, and waits for the whole answer.
 * @throws HttpError
 */
export function post(url: string, body: string | Uint8Array, how?: Sending): Response;
