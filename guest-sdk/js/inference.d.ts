// Asking an expert, on behalf of the call's caller. Needs "inference" under "uses" in policy.json.

import type { FinishReason, Message } from './signalbox.js';

export { InferenceError } from './errors.js';

export interface Asking {
  /** Most tokens of the answer; 256 where nothing is said. */
  maxTokens?: number;
  /** 0, where nothing is said, is greedy; `null` is the expert's own. */
  temperature?: number | null;
  /** How long the answer may take, loading and queues included; 5000 where nothing is said. */
  withinMs?: number;
  /** Whom to ask; the expert that answers when no router chooses where nobody is named. */
  expert?: string;
}

export interface Answer {
  text: string;
  /** Who said it. */
  expert: string;
  finish: FinishReason;
  promptTokens: number;
  completionTokens: number;
}

/**
 * Asks, and waits for the whole answer: a text is one message of a user's, a list is a conversation, oldest message first.
 * @throws InferenceError
 */
export function ask(question: string | Iterable<Message>, how?: Asking): Answer;
