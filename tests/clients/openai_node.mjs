// What people do with openai-node: chat, tools, schemas, text, responses.

import OpenAI, { BadRequestError, NotFoundError } from "openai";
import { zodResponseFormat } from "openai/helpers/zod";
import { z } from "zod";

import { GENERAL, HELLO, PICTURE, SEEING, V1, WEATHER, holds, run, same, weather } from "./harness.mjs";

const client = new OpenAI({ baseURL: V1, apiKey: "none-is-needed" });
const SAID = [{ role: "user", content: "Hello" }];
const TOOL = { type: "function", function: { name: "weather", parameters: WEATHER, strict: true } };
const COMMON = { model: GENERAL, messages: SAID, temperature: 0, max_tokens: 200 };

async function models() {
  const ids = [];
  for await (const model of client.models.list()) ids.push(model.id);
  holds(ids.includes("auto") && ids.includes(GENERAL), ids);
}

async function chat() {
  const reply = await client.chat.completions.create(COMMON);
  same(reply.choices[0].message.content, HELLO);
  const { total_tokens, prompt_tokens, completion_tokens } = reply.usage;
  same(total_tokens, prompt_tokens + completion_tokens);
}

async function stream() {
  const stream = client.chat.completions.stream({ ...COMMON, stream_options: { include_usage: true } });
  let text = "";
  for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? "";
  same(text, HELLO);
  holds((await stream.totalUsage()).completion_tokens > 0, "no usage");
}

async function tools() {
  const reply = await client.chat.completions.create({ ...COMMON, tools: [TOOL], tool_choice: "required" });
  const message = reply.choices[0].message;
  const [call] = message.tool_calls;
  weather(JSON.parse(call.function.arguments).city);
  const result = { role: "tool", tool_call_id: call.id, content: "Rain" };
  const after = await client.chat.completions.create({ ...COMMON, messages: [...SAID, message, result], tools: [TOOL] });
  holds(after.choices[0].message, "no reply to a result");
}

async function toolStream() {
  const tool_choice = { type: "function", function: { name: "weather" } };
  const stream = client.chat.completions.stream({ ...COMMON, tools: [TOOL], tool_choice });
  const [call] = (await stream.finalMessage()).tool_calls;
  weather(JSON.parse(call.function.arguments).city);
}

async function schema() {
  const response_format = zodResponseFormat(z.object({ fine: z.boolean() }), "answer");
  const reply = await client.chat.completions.parse({ ...COMMON, response_format });
  same(typeof reply.choices[0].message.parsed.fine, "boolean");
}

async function logprobs() {
  const reply = await client.chat.completions.create({ ...COMMON, logprobs: true, top_logprobs: 2 });
  const tokens = reply.choices[0].logprobs.content;
  same(tokens.map((token) => token.token).join(""), HELLO);
}

async function images() {
  const picture = { type: "image_url", image_url: { url: `data:image/png;base64,${PICTURE}` } };
  const messages = [{ role: "user", content: [picture, { type: "text", text: "What is this?" }] }];
  const reply = await client.chat.completions.create({ ...COMMON, model: SEEING, messages });
  holds(reply.choices[0].message.content, "nothing is said");
}

async function text() {
  const reply = await client.completions.create({ model: GENERAL, prompt: "Once", max_tokens: 3, temperature: 0 });
  same(reply.usage.completion_tokens, 3);
}

async function responses() {
  const first = await client.responses.create({ model: GENERAL, input: "Hello", temperature: 0 });
  same(first.output_text, HELLO);
  const more = { previous_response_id: first.id, temperature: 0 };
  const second = await client.responses.create({ model: GENERAL, input: "Hello", ...more });
  holds(second.usage.input_tokens > first.usage.input_tokens, "nothing came before it");
}

async function responsesStream() {
  const stream = client.responses.stream({ model: GENERAL, input: "Hello", temperature: 0 });
  const kinds = [];
  for await (const event of stream) kinds.push(event.type);
  same([kinds[0], kinds.at(-1)], ["response.created", "response.completed"]);
  same((await stream.finalResponse()).output_text, HELLO);
}

async function errors() {
  const refused = (kind, code) => (error) => holds(error instanceof kind && error.code === code, String(error));
  const answered = () => holds(false, "it was answered");
  await client.chat.completions.create({ ...COMMON, model: "nobody" }).then(answered, refused(NotFoundError, "model_not_found"));
  const messages = [{ role: "user", content: "word ".repeat(5000) }];
  const long = client.chat.completions.create({ ...COMMON, messages });
  await long.then(answered, refused(BadRequestError, "context_length_exceeded"));
}

await run({
  models,
  chat,
  stream,
  tools,
  "tools, stream": toolStream,
  schema,
  logprobs,
  images,
  text,
  responses,
  "responses, stream": responsesStream,
  errors,
});
