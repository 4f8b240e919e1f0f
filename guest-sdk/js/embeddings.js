// Vectors of texts, made by an expert of the host's: what is near in meaning has vectors of a large cosine.
// Needs "embeddings" under "uses" in policy.json. A policy that is probed has nobody to ask: go on without.

import { embed as embedTexts } from 'signalbox:policy/embeddings@0.2.3';

import { EmbeddingsError, asked } from './errors.js';

export { EmbeddingsError };

/**
 * A vector of the length 1 for each text, in their order. `wordsOf` is 'policy' for words that are the policy's own or the
 * operator's: their vectors are kept for all callers, others for each caller apart.
 */
export const embed = (texts, { wordsOf = 'caller', expert } = {}) =>
  asked(EmbeddingsError, () => embedTexts([...texts], { tag: wordsOf }, expert));

/** The cosine of two vectors of the length 1: 1 for the same, about 0 for what has nothing in common. */
export const cosine = (a, b) => a.reduce((sum, x, at) => sum + x * (b[at] ?? 0), 0);
