// Typed questions about a text, answered with probabilities by an expert that generates nothing for it.
// Needs "decide" under "uses" in policy.json. A policy that is probed has nobody to ask: go on without.

import { decide as decideOn } from 'signalbox:policy/decide@0.2.3';

import { InferenceError, asked } from './errors.js';

export { InferenceError };

const labelled = (label) => (typeof label === 'string' ? { name: label } : label);
const selection = (instructions, labels) => ({ instructions, labels: [...labels].map(labelled) });

/** Whether this holds; its labels are yes and no. */
export const predicate = (instructions, { yes, no } = {}) => ({ tag: 'predicate', val: { instructions, yes, no } });
/** Which of these it is: 1 to 255 labels. */
export const choice = (instructions, labels) => ({ tag: 'choice', val: selection(instructions, labels) });
/** How much it is, from the least to the most: 2 to 10 levels. */
export const score = (instructions, levels) => ({ tag: 'score', val: selection(instructions, levels) });

/** The answer to each question, by `expert` or by the one that answers when no router chooses. */
export const decide = (text, questions, { expert } = {}) =>
  asked(InferenceError, () => decideOn(text, [...questions], expert));
