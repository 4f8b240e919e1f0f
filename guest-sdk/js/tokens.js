// Counting tokens as an expert counts them. Needs "tokens" under "uses" in policy.json.

import { count } from 'signalbox:policy/tokens@0.2.3';

import { TokensError, asked } from './errors.js';

export { TokensError };

/** Tokens of `text` for `expert`; without one, for the expert of the highest priority. */
export const countTokens = (text, expert) => asked(TokensError, () => count(text, expert));
