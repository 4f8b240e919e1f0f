// What a policy answers with. Import it in policy.js; editors find the types in signalbox.d.ts.

/** A call turned away on purpose: throw it. The client reads the message. */
export class Refusal extends Error {
  constructor(kind, message) {
    super(message);
    this.name = 'Refusal';
    this.payload = { kind, message };
  }
}

export const forbidden = (message) => new Refusal({ tag: 'forbidden' }, message);
export const tooLarge = (message) => new Refusal({ tag: 'too-large' }, message);
export const rateLimited = (retryMs, message) => new Refusal({ tag: 'rate-limited', val: retryMs }, message);
export const refusal = (code, message) => new Refusal({ tag: 'other', val: code }, message);

// === route ===

const decision = (plan, { reason = '', confidence = 1, tags = {} } = {}) => ({
  plan,
  reason,
  confidence,
  tags: Object.entries(tags).map(([key, value]) => [key, String(value)]),
});

/** This expert answers. */
export const to = (expert, why) => decision({ tag: 'expert', val: expert }, why);
/** The first of these that can answer does. */
export const firstOf = (experts, why) => decision({ tag: 'fallback', val: [...experts] }, why);
/** Several experts answer, and the judge (the first, where none is named) merges what they say. */
export const consensus = (members, { judge, mode = 'parallel', ...why } = {}) =>
  decision({ tag: 'consensus', val: { members: [...members], judge, mode: { tag: mode } } }, why);

// === pre ===

/** Go on, with the edits that were made. */
export const proceed = { tag: 'proceed' };
/** Answer with this text; no expert is asked. */
export const answer = (text) => ({ tag: 'answer', val: text });

// === post ===

/** Send the window as it is. */
export const emit = { tag: 'emit' };
/** Keep the window; the next one begins with it. */
export const hold = { tag: 'hold' };
/** Send this text for the window, but for its end `kept`, which stays held. */
export const replace = (text, kept = '') => ({ tag: 'replace', text, kept });
/** Send this text and end the reply. */
export const stop = (text = '') => ({ tag: 'stop', val: text });

// === what calls carry ===

/** What the host or an earlier policy left under this key; undefined when nobody did. */
export const hint = (request, key) => request.hints().find(([known]) => known === key)?.[1];
/** How many images the call has. */
export const imageCount = (request) => Number(hint(request, 'has-images') ?? 0);
/** Whether the expert can't be loaded. */
export const isFailed = (expert) => expert.state().tag === 'failed';
