// Spreads calls evenly over the experts that can answer, whatever they are about.
//
// Each call gets a fresh instance, so there is no counter to advance. The shortest queue is taken first, which evens
// out load as it arises; among equals the call's id decides, by a hash, which evens out over many calls and answers
// the same call the same way.

import { firstOf, isFailed, refusal } from './sdk/signalbox.js';

export function choose(request, experts) {
  const able = experts
    .filter((expert) => !isFailed(expert))
    .map((expert) => ({ depth: expert.queueDepth(), id: expert.id() }))
    .sort((a, b) => a.depth - b.depth || (a.id < b.id ? -1 : 1));
  if (able.length === 0) {
    throw refusal('no-expert', 'no expert can answer: all of them failed');
  }
  const { depth } = able[0];
  const equals = able.filter((expert) => expert.depth === depth);
  const turn = Number(hash(request.id()) % BigInt(equals.length));
  const order = [...equals.slice(turn), ...equals.slice(0, turn), ...able.slice(equals.length)];
  const reason = `turn ${turn + 1} of ${equals.length} with ${depth} calls waiting`;
  return firstOf(order.map((expert) => expert.id), { reason });
}

/** FNV-1a, folded so that the low bits depend on all of the text. */
function hash(text) {
  let hash = 0xcbf29ce484222325n;
  for (const byte of new TextEncoder().encode(text)) {
    hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  }
  return hash ^ (hash >> 32n);
}
