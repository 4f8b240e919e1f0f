// The menu, for hooks that are not given it. Needs "experts" under "uses" in policy.json.

import type { Expert } from './signalbox.js';

/** Every expert, as it is now. */
export function menu(): Expert[];
