// The types of signalbox.js, and of what the host shows: the contract of wit/types.wit in TypeScript.

export interface Message {
  role: string;
  content: string;
}

export interface Tool {
  name: string;
  description: string;
  /** JSON Schema of its arguments. */
  parameters: string;
}

export type ToolChoice =
  | { tag: 'auto' }
  | { tag: 'none' }
  | { tag: 'required' }
  | { tag: 'tool'; val: string }
  | { tag: 'other'; val: string };

export type ResponseFormat =
  | { tag: 'text' }
  | { tag: 'json' }
  | { tag: 'json-schema'; val: string }
  | { tag: 'other'; val: string };

/** The call under way. Valid until the hook returns; keep what you read, not the request. */
export interface Request {
  id(): string;
  model(): string | undefined;
  messageCount(): number;
  message(index: number): Message | undefined;
  messages(): Message[];
  lastUserText(): string;
  maxTokens(): number | undefined;
  temperature(): number | undefined;
  streaming(): boolean;
  hints(): [string, string][];
  tools(): Tool[];
  toolChoice(): ToolChoice;
  responseFormat(): ResponseFormat;
  topP(): number | undefined;
  seed(): bigint | undefined;
  stop(): string[];
  logprobs(): number | undefined;
  caller(): string;
  session(): string | undefined;
  header(name: string): string | undefined;
  previousExpert(): string | undefined;
  toolLoopOpen(): boolean;
  timeLeftMs(): number;
}

/** Changes that a `pre` policy wants. They take effect together, when `handle` goes on. */
export interface Edits {
  setContent(index: number, content: string): void;
  insertMessage(index: number, message: Message): void;
  setMaxTokens(maxTokens: number): void;
  setTemperature(temperature: number): void;
  addHint(key: string, value: string): void;
  keepTools(names: string[]): void;
  setToolChoice(choice: ToolChoice): void;
  setResponseFormat(format: ResponseFormat): void;
  setTopP(topP: number): void;
  setSeed(seed: bigint): void;
  setStop(stop: string[]): void;
}

export type ExpertState =
  | { tag: 'resident' }
  | { tag: 'loading' }
  | { tag: 'cold' }
  | { tag: 'failed'; val: string }
  | { tag: 'other'; val: string };

/** One expert on the menu, as it was when the hook was called. */
export interface Expert {
  id(): string;
  domain(): string;
  description(): string;
  priority(): number;
  capabilities(): string[];
  contextLength(): number;
  state(): ExpertState;
  residentBytes(): bigint;
  queueDepth(): number;
  estimatedWaitMs(): number | undefined;
  estimatedLoadMs(): number | undefined;
  tokensPerSecond(): number | undefined;
  /** Tokens of this call's prompt that it has computed already; 0 when it is not in memory. */
  cachedTokens(): number | undefined;
}

export type FinishReason =
  | { tag: 'stop' }
  | { tag: 'length' }
  | { tag: 'policy' }
  | { tag: 'other'; val: string };

/** How a reply ended and what it cost. */
export interface Ending {
  reason(): FinishReason;
  promptTokens(): number | undefined;
  cachedTokens(): number | undefined;
  completionTokens(): number | undefined;
}

export class Refusal extends Error {}
export function forbidden(message: string): Refusal;
export function tooLarge(message: string): Refusal;
export function rateLimited(retryMs: number, message: string): Refusal;
/** `code` is snake case; clients read it with `policy_` before it where the host has one of that name. */
export function refusal(code: string, message: string): Refusal;

export interface Why {
  reason?: string;
  /** 0 to 1. */
  confidence?: number;
  tags?: Record<string, unknown>;
}
export interface Decision {
  plan: unknown;
  reason: string;
  confidence: number;
  tags: [string, string][];
}
export function to(expert: string, why?: Why): Decision;
export function firstOf(experts: Iterable<string>, why?: Why): Decision;
export function consensus(
  members: Iterable<string>,
  why?: Why & { judge?: string; mode?: 'parallel' | 'turns' },
): Decision;

export interface Outcome {
  tag: 'proceed' | 'answer';
  val?: string;
}
export const proceed: Outcome;
export function answer(text: string): Outcome;

export interface Action {
  tag: 'emit' | 'hold' | 'replace' | 'stop';
}
export const emit: Action;
export const hold: Action;
/** `kept` has to be the end of the window. */
export function replace(text: string, kept?: string): Action;
export function stop(text?: string): Action;

/** One reply, as the class `Session` of a policy on replies is asked about it; made with the request and the expert's id. */
export interface Reply {
  /** New text arrived. `window` is what was held, with the new text behind it. */
  push(window: string): Action;
  /** The reply is complete; nothing may stay held. */
  finish?(window: string, ended: Ending): Action;
}

export function hint(request: Request, key: string): string | undefined;
export function imageCount(request: Request): number;
export function isFailed(expert: Expert): boolean;
