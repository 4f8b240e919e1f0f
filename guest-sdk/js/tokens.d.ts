// Counting tokens as an expert counts them. Needs "tokens" under "uses" in policy.json.

export { TokensError } from './errors.js';

/**
 * Tokens of `text` for `expert`; without one, for the expert of the highest priority.
 * @throws TokensError
 */
export function countTokens(text: string, expert?: string): number;
