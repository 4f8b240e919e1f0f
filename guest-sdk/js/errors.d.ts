// What the host answers with instead of what was asked of it. `code` is the contract's name for it.

export class TokensError extends Error {
  readonly code: 'unknown-expert' | 'unavailable' | 'other';
}

export class EmbeddingsError extends Error {
  readonly code:
    | 'unknown-expert'
    | 'no-embedding-expert'
    | 'too-large'
    /** The caller has spent what it may, or the time for experts is up. */
    | 'out-of-budget'
    /** Not now: it can't be loaded, its queue is full, or this is a probe. */
    | 'unavailable'
    | 'other';
}

export class InferenceError extends Error {
  readonly code:
    | 'unknown-expert'
    /** The question is none that this expert can be asked. */
    | 'invalid'
    | 'out-of-time'
    /** The policy or the caller has spent what it may. */
    | 'out-of-budget'
    /** Not now: it can't be loaded, its queue is full, or this is a probe. */
    | 'unavailable'
    | 'other';
}

export class KeyvalueError extends Error {
  /** `other` is in words: the bucket is full, a value is no number, its file is damaged. */
  readonly code: 'no-such-store' | 'access-denied' | 'other';
}

export class HttpError extends Error {
  readonly code:
    /** The operator does not list the host, the call has sent as many requests as it may, or nothing is sent from here. */
    | 'denied'
    | 'timeout'
    | 'too-large'
    /** The request makes no sense. */
    | 'invalid'
    | 'failed';
}
