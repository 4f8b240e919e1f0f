// What a policy keeps from one call to the next. Needs "keyvalue" under "uses" in policy.json.

export { KeyvalueError } from './errors.js';

/** Keys and values. A key has 1 to 256 bytes; a value that is a text is kept in UTF-8. Every method throws KeyvalueError. */
export interface Bucket {
  get(key: string): Uint8Array | undefined;
  /** The value of `key` as a text. */
  getText(key: string): string | undefined;
  set(key: string, value: string | Uint8Array): void;
  /** Takes `key` out; does nothing where it is not there. */
  delete(key: string): void;
  exists(key: string): boolean;
  /** Every key. */
  keys(): string[];
  /**
   * Adds `delta`, 1 where nothing is said, to the number that `key` has in decimal digits, 0 where it is not there; the sum.
   * Calls that do this at the same time lose nothing.
   */
  increment(key: string, delta?: number | bigint): bigint;
  /** Makes a new value of the one that `key` has. Where another call was there meanwhile, `change` is asked again. */
  update(key: string, change: (value: Uint8Array | undefined) => string | Uint8Array): void;
}

/**
 * The bucket of this policy.
 * @throws KeyvalueError
 */
export function open(): Bucket;
