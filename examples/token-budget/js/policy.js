// Keeps calls within a budget: caps the tokens of a reply and refuses prompts that are too long.
//
// Tokens are counted by the tokenizer of the expert that the client named, or else by that of the highest-priority
// expert; chat templates add a few more, which are not counted here.

import { log } from './sdk/log.js';
import { number } from './sdk/settings.js';
import { proceed, tooLarge } from './sdk/signalbox.js';
import { TokensError, countTokens } from './sdk/tokens.js';

// Counted at once, in characters.
const PIECE = 16 << 10;

export function handle(request, edits) {
  const most = number('prompt-tokens-max', 2048);
  const found = beyond(request, most);
  if (found !== undefined) {
    throw tooLarge(`the messages have ${found} tokens and ${most} are allowed; shorten them`);
  }
  const cap = Math.max(1, number('reply-tokens-max', 512));
  const wanted = request.maxTokens();
  if (wanted === undefined || wanted > cap) {
    edits.setMaxTokens(cap);
  }
  return proceed;
}

/** How many tokens all messages have, when they are more than `most`; no more than that is counted. */
function beyond(request, most) {
  const model = request.model();
  const count = request.messageCount();
  let tokens = 0;
  for (let index = 0; index < count; index += 1) {
    const { content } = request.message(index);
    for (let at = 0; at < content.length; at += PIECE) {
      if (tokens > most) {
        return `over ${most}`;
      }
      tokens += counted(content.slice(at, at + PIECE), model);
    }
  }
  return tokens > most ? tokens : undefined;
}

function counted(text, model) {
  try {
    return countTokens(text, model);
  } catch (error) {
    if (!(error instanceof TokensError)) {
      throw error;
    }
    log.warn(`${error.message}; estimating one token per four characters`);
    return Math.ceil(text.length / 4);
  }
}
