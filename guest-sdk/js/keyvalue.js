// What a policy keeps from one call to the next: keys and values in its own bucket, which all its revisions share.
// Needs "keyvalue" under "uses" in policy.json. The bucket has a quota; what does not fit is an error.

import { Cas, increment, swap } from 'wasi:keyvalue/atomics@0.2.0-draft2';
import { open as openStore } from 'wasi:keyvalue/store@0.2.0-draft2';

import { KeyvalueError, asked, caseOf } from './errors.js';

export { KeyvalueError };

const utf8 = new TextEncoder();
const decoder = new TextDecoder();
const bytes = (value) => (typeof value === 'string' ? utf8.encode(value) : value);
const kept = (work) => asked(KeyvalueError, work);

/** Keys and values. A key has 1 to 256 bytes; a value that is a text is kept in UTF-8. */
class Bucket {
  #store;

  constructor(store) {
    this.#store = store;
  }

  /** The bytes of `key`; undefined when it is not there. */
  get(key) {
    return kept(() => this.#store.get(key));
  }

  /** The same as a text. */
  getText(key) {
    const value = this.get(key);
    return value === undefined ? undefined : decoder.decode(value);
  }

  set(key, value) {
    kept(() => this.#store.set(key, bytes(value)));
  }

  /** Takes `key` out; does nothing where it is not there. */
  delete(key) {
    kept(() => this.#store.delete(key));
  }

  exists(key) {
    return kept(() => this.#store.exists(key));
  }

  /** Every key, page by page. */
  keys() {
    const keys = [];
    let cursor;
    do {
      const page = kept(() => this.#store.listKeys(cursor));
      keys.push(...page.keys);
      cursor = page.cursor;
    } while (cursor !== undefined);
    return keys;
  }

  /** Adds to the number that `key` has in decimal digits, 0 where it is not there. Calls at the same time lose nothing. */
  increment(key, delta = 1) {
    return kept(() => increment(this.#store, key, BigInt(delta)));
  }

  /** Makes a new value of the one that `key` has. Where another call was there meanwhile, `change` is asked again. */
  update(key, change) {
    let seen = kept(() => Cas.new(this.#store, key));
    while (seen !== undefined) {
      const value = change(kept(() => seen.current()));
      seen = kept(() => swapped(seen, bytes(value)));
    }
  }
}

/** Nothing where it was swapped, otherwise the value as it is now. */
function swapped(seen, value) {
  try {
    swap(seen, value);
  } catch (error) {
    const met = caseOf(error);
    if (met?.tag === 'cas-failed') {
      return met.val;
    }
    throw met === undefined ? error : { payload: met.val };
  }
  return undefined;
}

/** The bucket of this policy. */
export const open = () => new Bucket(kept(() => openStore('default')));
