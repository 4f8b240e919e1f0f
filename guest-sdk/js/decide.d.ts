// Typed questions about a text, answered with probabilities by an expert that generates nothing for it. Needs "decide"
// under "uses" in policy.json.

export { InferenceError } from './errors.js';

/** Something that an answer may be: its name, and when it is the one. */
export type Label = string | { name: string; description?: string };

export interface Question {
  readonly tag: 'predicate' | 'choice' | 'score';
}

/** Whether this holds; its labels are yes and no. */
export function predicate(instructions: string, meanings?: { yes?: string; no?: string }): Question;
/** Which of these it is: 1 to 255 labels. */
export function choice(instructions: string, labels: Iterable<Label>): Question;
/** How much it is, from the least to the most: 2 to 10 levels. */
export function score(instructions: string, levels: Iterable<Label>): Question;

export interface Weights {
  /** In the order of the labels; 1 together. */
  probabilities: Float64Array;
  /** How likely it is that a reply would begin with any of them. Where that is little, the expert was about to say something else. */
  mass: number;
}

/**
 * The answer to each question, by `expert` or by the one that answers when no router chooses.
 * @throws InferenceError
 */
export function decide(text: string, questions: Iterable<Question>, how?: { expert?: string }): Weights[];
