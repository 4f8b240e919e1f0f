// Answers a call that was asked before: the same caller, the same messages, the same parameters. Whole answers only. Those
// of the Rust example end after a while; these make room when there is none.

import { KeyvalueError, open } from './sdk/keyvalue.js';
import { log } from './sdk/log.js';
import { setting } from './sdk/settings.js';
import { answer, emit, imageCount, proceed } from './sdk/signalbox.js';

// Longer answers are not kept, in characters.
const LONGEST = 16 << 10;

export function handle(request) {
  const question = asked(request);
  const found = question && kept(question);
  return found === undefined ? proceed : answer(found);
}

export class Session {
  constructor(request) {
    this.question = asked(request);
    this.answer = '';
  }

  push(window) {
    if (this.answer.length <= LONGEST) {
      this.answer += window;
    }
    return emit;
  }

  finish(window, ended) {
    this.push(window);
    if (this.question && ended.reason().tag === 'stop' && this.answer.length <= LONGEST) {
      keep(this.question, this.answer);
    }
    return emit;
  }
}

/** Who asks what, and how, as a text; undefined where something else matters: tools, pictures, a format. */
function asked(request) {
  if (request.tools().length > 0 || imageCount(request) > 0 || request.responseFormat().tag !== 'text') {
    return undefined;
  }
  return JSON.stringify([
    setting('share') === 'yes' ? '' : request.caller(),
    request.model() ?? null,
    request.messages().map(({ role, content }) => [role, content]),
    request.maxTokens() ?? null,
    request.temperature() ?? null,
    request.topP() ?? null,
    request.seed()?.toString() ?? null,
    request.stop(),
  ]);
}

/** The answer to this question, if it was kept. Others may have the same key, so what was asked stands with the answer. */
function kept(question) {
  try {
    const found = JSON.parse(open().getText(key(question)) ?? '{}');
    return found.question === question ? found.answer : undefined;
  } catch (error) {
    log.warn(`no answer is found: ${error.message}`);
    return undefined;
  }
}

function keep(question, answer) {
  const value = JSON.stringify({ question, answer });
  try {
    const bucket = open();
    try {
      bucket.set(key(question), value);
    } catch (error) {
      if (!(error instanceof KeyvalueError)) {
        throw error;
      }
      bucket.keys().forEach((old) => bucket.delete(old));
      bucket.set(key(question), value);
    }
  } catch (error) {
    log.warn(`an answer is not kept: ${error.message}`);
  }
}

/** FNV-1a, in hexadecimal digits. */
function key(text) {
  let hash = 0xcbf29ce484222325n;
  for (const byte of new TextEncoder().encode(text)) {
    hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  }
  return hash.toString(16);
}
