// Labels on the call in the decision log. Needs "annotations" under "uses" in policy.json.

/** Puts a label on the call, whatever becomes of it. No client reads it. */
export function note(key: string, value: unknown): void;
