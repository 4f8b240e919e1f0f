// Uses everything that the host lends, one thing per call, and answers with what came of it. asks.py says the same.

import { choice, decide, predicate } from './sdk/decide.js';
import { cosine, embed } from './sdk/embeddings.js';
import { menu } from './sdk/experts.js';
import { get, post } from './sdk/http.js';
import { ask } from './sdk/inference.js';
import { open } from './sdk/keyvalue.js';
import { answer, proceed } from './sdk/signalbox.js';
import { countTokens } from './sdk/tokens.js';

const decoder = new TextDecoder();
const NOBODY = { expert: 'nobody' };

/** The name of the error that this ends with, and its words. */
function refused(work) {
  try {
    return work();
  } catch (error) {
    return [error.code, error.message];
  }
}

const does = {
  keeps() {
    const bucket = open();
    bucket.set('text', 'kept');
    bucket.increment('sum', 2);
    bucket.update('grows', (old) => `${old === undefined ? '' : decoder.decode(old)}x`);
    bucket.set('gone', new Uint8Array([255]));
    const bytes = [...bucket.get('gone')];
    bucket.delete('gone');
    return {
      keys: bucket.keys(),
      text: bucket.getText('text'),
      sum: Number(bucket.increment('sum')),
      grows: bucket.getText('grows'),
      bytes,
      there: [bucket.exists('text'), bucket.exists('gone'), bucket.get('gone') === undefined],
      refused: refused(() => bucket.increment('text')),
    };
  },

  fetches(url) {
    const said = post(`${url}/words`, JSON.stringify({ asked: 'ñ'.repeat(3000) }), { headers: { 'x-asks': 'me' } });
    return {
      said: [said.status, said.header('X-Answers'), said.json()],
      got: get(`${url}?q`).text(),
      long: refused(() => get(`${url}/words`, { bytesMax: 3 })),
      elsewhere: refused(() => get('http://127.0.0.1:1/')),
      nonsense: refused(() => get('example.com')),
    };
  },

  embeds() {
    const [a, b] = embed(['the line', 'the line'], { wordsOf: 'policy' });
    return {
      same: Math.abs(cosine(a, b) - 1) < 1e-4,
      length: a.length,
      unknown: refused(() => embed(['x'], NOBODY)),
      wrong: refused(() => embed(['x'], { expert: 'phi4_fast' }))[0],
    };
  },

  asks(question) {
    const said = ask([{ role: 'user', content: question }], { expert: 'phi4_fast' });
    return {
      said: [said.text, said.expert, said.finish.tag, said.promptTokens, said.completionTokens],
      unknown: refused(() => ask('x', NOBODY)),
      wrong: refused(() => ask('x', { maxTokens: 0 }))[0],
    };
  },

  decides() {
    const labels = ['money', { name: 'travel', description: 'trains and trips' }];
    const questions = [predicate('The customer paid twice.', { yes: 'It did.' }), choice('What is it about?', labels)];
    const weights = decide('My card was charged twice.', questions);
    return {
      labels: weights.map(({ probabilities }) => probabilities.length),
      whole: weights.every((of) => Math.abs(of.probabilities.reduce((a, b) => a + b, 0) - 1) < 1e-6 && of.mass <= 1),
      unknown: refused(() => decide('x', questions, NOBODY)),
    };
  },

  counts() {
    const expert = menu().find((known) => known.id() === 'phi4_fast');
    return {
      cached: Number.isInteger(expert.cachedTokens()),
      tokens: countTokens('one two', 'phi4_fast') > 0,
      unknown: refused(() => countTokens('x', 'nobody')),
    };
  },
};

export function handle(request) {
  const [what, ...rest] = request.lastUserText().split(' ');
  const known = Object.hasOwn(does, what);
  return known ? answer(JSON.stringify(does[what](rest.join(' ')))) : proceed;
}
