// Asking an expert, on behalf of the call's caller: only whom the caller may ask, and at the cost of its tokens.
// Needs "inference" under "uses" in policy.json. A policy that is probed has nobody to ask: go on without.

import { ask as askExpert } from 'signalbox:policy/inference@0.2.3';

import { InferenceError, asked } from './errors.js';

export { InferenceError };

/**
 * Asks, and waits for the whole answer: a text is one message of a user's, a list is a conversation, oldest message
 * first. A `temperature` of 0 is greedy, of null the expert's own. Without `expert` the one answers that would if there were
 * no router.
 */
export function ask(question, { maxTokens = 256, temperature = 0, withinMs = 5000, expert } = {}) {
  const messages = typeof question === 'string' ? [{ role: 'user', content: question }] : [...question];
  const asking = { messages, maxTokens, temperature: temperature ?? undefined, timeBudgetMs: withinMs, expert };
  return asked(InferenceError, () => askExpert(asking));
}
