// The operator's settings for this policy (`policies.settings.NAME`). Needs "config" under "uses" in policy.json.

import { get, getAll } from 'wasi:config/store@0.2.0-rc.1';

/** The setting of this name, as text; `otherwise` when the operator set none. */
export const setting = (name, otherwise) => get(name) ?? otherwise;

/** The setting of this name as a number; `otherwise` when there is none. What is no number is a mistake. */
export function number(name, otherwise) {
  const text = get(name);
  if (text === undefined) {
    return otherwise;
  }
  const value = Number(text);
  if (text.trim() === '' || Number.isNaN(value)) {
    throw new Error(`the setting '${name}' is '${text}', which is no number`);
  }
  return value;
}

/** All settings. */
export const settings = () => Object.fromEntries(getAll());
