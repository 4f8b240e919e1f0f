// The operator's settings for this policy (`policies.settings.NAME`). Needs "config" under "uses" in policy.json.

/** The setting of this name, as text; `otherwise` when the operator set none. */
export function setting(name: string): string | undefined;
export function setting(name: string, otherwise: string): string;
/** The setting of this name as a number; `otherwise` when there is none. What is no number is a mistake. */
export function number(name: string): number | undefined;
export function number(name: string, otherwise: number): number;
/** All settings. */
export function settings(): Record<string, string>;
