// What the host answers with instead of what was asked of it, as errors of JavaScript. Each has the contract's name
// for it in `code`; one that nobody catches fails the hook.

class HostError extends Error {
  constructor(code, message) {
    super(message);
    this.name = new.target.name;
    this.code = code;
  }
}

/** Why tokens could not be counted. */
export class TokensError extends HostError {}
/** Why there are no vectors. */
export class EmbeddingsError extends HostError {}
/** Why an expert did not answer, or decide. */
export class InferenceError extends HostError {}
/** Why the bucket did not do what it was asked for. */
export class KeyvalueError extends HostError {}
/** Why there is no answer from another host. */
export class HttpError extends HostError {}

/** Cases whose value is no sentence. */
const WORDS = {
  'unknown-expert': (id) => `no expert is called '${id}'`,
  'no-such-store': () => 'the host has no bucket for this policy',
  'access-denied': () => 'this policy may have no bucket',
};

/** The case of the contract that an import was answered with; `undefined` where something else was thrown. */
export const caseOf = (error) => (typeof error?.payload?.tag === 'string' ? error.payload : undefined);

/** Runs an import; a case of the contract is thrown as an error of this `Kind`. */
export function asked(Kind, work) {
  try {
    return work();
  } catch (error) {
    const met = caseOf(error);
    if (met === undefined) {
      throw error;
    }
    throw new Kind(met.tag, WORDS[met.tag]?.(met.val) ?? String(met.val ?? met.tag));
  }
}
