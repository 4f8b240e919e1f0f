// What a policy keeps from one call to the next. Needs "keyvalue" under "uses" in policy.json.

import { open } from 'wasi:keyvalue/store@0.2.0-draft2';

/** The policy's bucket: get(key), set(key, bytes), delete(key), exists(key), listKeys(cursor). */
export const bucket = () => open('default');

/** The value of `key` as text; undefined when there is none. */
export function text(key) {
  const bytes = bucket().get(key);
  return bytes === undefined ? undefined : new TextDecoder().decode(bytes);
}

/** Gives `key` this text. */
export const keep = (key, text) => bucket().set(key, new TextEncoder().encode(String(text)));
