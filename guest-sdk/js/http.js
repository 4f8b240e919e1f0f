// Asking other hosts over HTTP: those that the operator lists for this policy (`policies.http_hosts`), and nobody else.
// Needs "http" under "uses" in policy.json. A request waits for its answer, and what it waits is the host's time.
// Redirects are answers like others. Nothing is sent while a component is probed: be ready for an error.

import { handle } from 'wasi:http/outgoing-handler@0.2.10';
import { Fields, OutgoingBody, OutgoingRequest, RequestOptions } from 'wasi:http/types@0.2.10';

import { HttpError, caseOf } from './errors.js';

export { HttpError };

// What a stream takes at once without being asked.
const CHUNK = 4096;
// What is read at once.
const PIECE = 65536n;
const DISPOSE = Symbol.dispose ?? Symbol.for('dispose');

/** What the cases of wasi:http come to for whoever waits for an answer. */
const CODES = {
  'HTTP-request-denied': 'denied',
  'HTTP-response-timeout': 'timeout',
  'connection-timeout': 'timeout',
  'HTTP-request-body-size': 'too-large',
  'HTTP-response-body-size': 'too-large',
};
const WORDS = {
  denied: 'the request may not be sent',
  timeout: 'there was no answer in time',
  'too-large': 'the request or its answer is too large',
};

const utf8 = new TextEncoder();
const decoder = new TextDecoder();

/** Handles go back at once and in their order: a host takes none back that others hang on. */
function using(handle, work) {
  try {
    return work(handle);
  } finally {
    handle[DISPOSE]();
  }
}

function failed({ tag }) {
  const code = CODES[tag] ?? 'failed';
  return new HttpError(code, WORDS[code] ?? `the request failed: ${tag}`);
}

/** Runs a step of a request that makes no sense where it is refused. */
function sendable(what, work) {
  try {
    return work();
  } catch {
    throw new HttpError('invalid', `the request makes no sense: ${what} can't be sent`);
  }
}

/** An answer, whatever its status. */
class Response {
  constructor(status, headers, bytes) {
    this.status = status;
    this.headers = headers;
    this.bytes = bytes;
  }

  /** The first header of this name. */
  header(name) {
    return this.headers.find(([known]) => known.toLowerCase() === name.toLowerCase())?.[1];
  }

  text() {
    return decoder.decode(this.bytes);
  }

  json() {
    return JSON.parse(this.text());
  }
}

function outgoing(method, url, headers) {
  const [, scheme, authority, path] = /^(https?):\/\/([^/?#]+)([^#]*)/.exec(url) ?? [];
  if (authority === undefined) {
    throw new HttpError('invalid', `'${url}' is no URL that begins with https:// or http://`);
  }
  const fields = new Fields();
  for (const [name, value] of Object.entries(headers)) {
    sendable(`the header '${name}'`, () => fields.append(name, utf8.encode(value)));
  }
  const request = new OutgoingRequest(fields);
  sendable('its method', () => request.setMethod({ tag: method }));
  sendable('its scheme', () => request.setScheme({ tag: scheme.toUpperCase() }));
  sendable('its host', () => request.setAuthority(authority));
  sendable('its path', () => request.setPathWithQuery(path.startsWith('/') ? path : `/${path}`));
  return request;
}

/** A body that is not taken is a request that fails, and its answer says why. */
function write(body, bytes) {
  try {
    using(body.write(), (stream) => {
      for (let at = 0; at < bytes.length; at += CHUNK) {
        stream.blockingWriteAndFlush(bytes.subarray(at, at + CHUNK));
      }
    });
  } catch {
    body[DISPOSE]();
    return;
  }
  OutgoingBody.finish(body, undefined);
}

function waited(pending) {
  let said;
  while ((said = pending.get()) === undefined) {
    using(pending.subscribe(), (pollable) => pollable.block());
  }
  const answer = said.val;
  if (answer?.tag !== 'ok') {
    throw failed(answer?.val ?? { tag: 'its answer was taken' });
  }
  return answer.val;
}

function read(stream, most) {
  const pieces = [];
  let length = 0;
  for (;;) {
    let piece;
    try {
      piece = stream.blockingRead(PIECE);
    } catch (error) {
      if (caseOf(error)?.tag === 'closed') {
        break;
      }
      throw new HttpError('failed', 'the request failed: its answer breaks off');
    }
    length += piece.length;
    if (length > most) {
      throw new HttpError('too-large', WORDS['too-large']);
    }
    pieces.push(piece);
  }
  const whole = new Uint8Array(length);
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

function answered(incoming, most) {
  const headers = using(incoming.headers(), (fields) => fields.entries());
  const bytes = using(incoming.consume(), (body) => using(body.stream(), (stream) => read(stream, most)));
  return new Response(incoming.status(), headers.map(([name, value]) => [name, decoder.decode(value)]), bytes);
}

function send(method, url, bytes, { headers = {}, withinMs = 5000, bytesMax = 1 << 20 } = {}) {
  const request = outgoing(method, url, headers);
  const body = sendable('its content-length', () => request.body());
  const options = new RequestOptions();
  // Answers come whole, so the time until their first byte is all of it.
  sendable('its time', () => options.setFirstByteTimeout(BigInt(Math.round(withinMs * 1e6))));
  let pending;
  try {
    pending = handle(request, options);
  } catch (error) {
    throw caseOf(error) === undefined ? error : failed(error.payload);
  }
  write(body, bytes);
  return using(pending, () => using(waited(pending), (incoming) => answered(incoming, bytesMax)));
}

/** Asks for what is at `url`, and waits for the whole answer. */
export const get = (url, options) => send('get', url, new Uint8Array(), options);
/** Sends a text or bytes to `url`, and waits for the whole answer. */
export const post = (url, body, options) =>
  send('post', url, typeof body === 'string' ? utf8.encode(body) : body, options);
