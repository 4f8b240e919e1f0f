// Between the functions of policy.js and the exports of the contract. The entry that `signalbox policy build`
// writes uses it; policies have no need to.

import { Refusal } from './signalbox.js';

const utf8 = new TextEncoder();

/** Runs author's code. What it throws by mistake is said on stderr: a trap alone has no words. */
function told(work) {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof Refusal)) {
      console.error(error instanceof Error ? `${error}\n${error.stack}` : String(error));
    }
    throw error;
  }
}

function needed(policy, name, hook) {
  const found = policy[name];
  if (typeof found !== 'function') {
    throw new Error(`policy.js exports no function '${name}', which the hook '${hook}' calls`);
  }
  return found;
}

function answered(name, said, shape, wanted) {
  if (!shape(said)) {
    throw new Error(`${name} has to return ${wanted}, and returned ${JSON.stringify(said)}`);
  }
  return said;
}

const isVariant = (said) => typeof said?.tag === 'string';

export function preOf(policy) {
  const handle = needed(policy, 'handle', 'pre');
  const wanted = 'proceed, answer(...) or nothing';
  return {
    handle: (request, edits) =>
      told(() => answered('handle', handle(request, edits) ?? { tag: 'proceed' }, isVariant, wanted)),
  };
}

export function routeOf(policy) {
  const choose = needed(policy, 'choose', 'route');
  const wanted = 'to(...), firstOf(...) or consensus(...)';
  const isDecision = (said) => isVariant(said?.plan);
  return {
    choose: (request, experts) =>
      told(() => answered('choose', choose(request, experts), isDecision, wanted)),
  };
}

/** The contract counts what is kept in bytes; JavaScript would count it in UTF-16. */
function action(name, said, window) {
  const wanted = 'emit, hold, replace(...) or stop(...)';
  const { tag, text, kept } = answered(name, said, isVariant, wanted);
  if (tag !== 'replace') {
    return said;
  }
  if (!window.endsWith(kept)) {
    throw new Error(`${name} keeps ${JSON.stringify(kept)}, which is not the end of the window`);
  }
  return { tag, val: { text, keep: utf8.encode(kept).length } };
}

export function postOf(policy) {
  const Reply = needed(policy, 'Session', 'post');
  class Session {
    #reply;

    constructor(request, expert) {
      this.#reply = told(() => new Reply(request, expert));
    }

    push(window) {
      return told(() => action('push', this.#reply.push(window), window));
    }

    finish(window, ended) {
      return told(() => {
        if (typeof this.#reply.finish !== 'function') {
          return { tag: 'emit' };
        }
        return action('finish', this.#reply.finish(window, ended), window);
      });
    }
  }
  return { Session };
}
