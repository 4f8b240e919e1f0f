// Labels on the call in the decision log. Needs "annotations" under "uses" in policy.json.

import { annotate } from 'signalbox:policy/annotations@0.2.3';

/** Puts a label on the call, whatever becomes of it. No client reads it. */
export const note = (key, value) => annotate(key, String(value));
