// Vectors of texts, made by an expert of the host's. Needs "embeddings" under "uses" in policy.json.

export { EmbeddingsError } from './errors.js';

export interface Embedding {
  /**
   * Whose words the texts are. Vectors of a caller's words, or of what was made of them, are kept for each caller apart,
   * because how soon a vector is there tells whether it was made before. `caller` where nothing is said.
   */
  wordsOf?: 'caller' | 'policy';
  /** Who makes the vectors; the expert of highest priority that makes any where nobody is named. */
  expert?: string;
}

/**
 * A vector of the length 1 for each text, in their order. Of a long text the beginning is read. Models that want words
 * before a text (`query: `) get them by the policy writing them.
 * @throws EmbeddingsError
 */
export function embed(texts: Iterable<string>, how?: Embedding): Float32Array[];

/** The cosine of two vectors of the length 1: 1 for the same, about 0 for what has nothing in common. */
export function cosine(a: Float32Array, b: Float32Array): number;
