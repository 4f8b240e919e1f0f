// The host's log, with levels; console.log needs none of this and is there as well.
// Needs "logging" under "uses" in policy.json.

import { log as write } from 'wasi:logging/logging@0.1.0-draft';

const at = (level) => (message, context = '') => write(level, context, String(message));

export const log = {
  trace: at('trace'),
  debug: at('debug'),
  info: at('info'),
  warn: at('warn'),
  error: at('error'),
};
