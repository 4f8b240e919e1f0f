// The host's log, with levels. Needs "logging" under "uses" in policy.json.

/** `context` groups messages that belong together. */
type Write = (message: unknown, context?: string) => void;

export const log: { trace: Write; debug: Write; info: Write; warn: Write; error: Write };
