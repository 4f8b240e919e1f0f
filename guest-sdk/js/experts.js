// The menu, for hooks that are not given it. Needs "experts" under "uses" in policy.json.

export { menu } from 'signalbox:policy/experts@0.2.3';
