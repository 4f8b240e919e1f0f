// Counting across calls. Needs "keyvalue" and "atomics" under "uses" in policy.json.

import { increment as add } from 'wasi:keyvalue/atomics@0.2.0-draft2';
import { bucket } from './keyvalue.js';

/** Adds `delta` to the number that `key` has, 0 where it is not there; the sum. */
export const increment = (key, delta = 1) => Number(add(bucket(), key, BigInt(delta)));
