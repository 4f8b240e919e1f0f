// What people do with the Vercel AI SDK: text, streams, objects, tools, by the providers for OpenAI's and Anthropic's APIs.

import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { Output, generateText, jsonSchema, stepCountIs, streamText, tool } from "ai";

import { GENERAL, HELLO, V1, WEATHER, holds, run, same, weather } from "./harness.mjs";

const key = { apiKey: "none-is-needed" };
const compatible = createOpenAICompatible({ name: "signalbox", baseURL: V1, supportsStructuredOutputs: true, includeUsage: true, ...key });
const openai = createOpenAI({ baseURL: V1, ...key });
const anthropic = createAnthropic({ baseURL: V1, ...key });
const COMMON = { prompt: "Hello", temperature: 0, maxOutputTokens: 200, maxRetries: 0 };

async function asked(model) {
  same((await generateText({ model, ...COMMON })).text, HELLO);
}

async function streamed(model) {
  const { textStream, usage } = streamText({ model, ...COMMON });
  let text = "";
  for await (const piece of textStream) text += piece;
  same(text, HELLO);
  holds((await usage).outputTokens > 0, "no usage");
}

async function tools() {
  const cities = [];
  const execute = async ({ city }) => (cities.push(city), "Rain");
  const tools = { weather: tool({ description: "Weather", inputSchema: jsonSchema(WEATHER), execute }) };
  const model = compatible(GENERAL);
  await generateText({ model, ...COMMON, tools, toolChoice: "required", stopWhen: stepCountIs(1) });
  weather(cities[0]);
}

async function schema() {
  const schema = jsonSchema({ type: "object", properties: { fine: { type: "boolean" } }, required: ["fine"], additionalProperties: false });
  const { output } = await generateText({ model: compatible(GENERAL), ...COMMON, output: Output.object({ schema }) });
  same(typeof output.fine, "boolean");
}

await run({
  chat: () => asked(compatible(GENERAL)),
  stream: () => streamed(compatible(GENERAL)),
  tools,
  schema,
  responses: () => asked(openai.responses(GENERAL)),
  "responses, stream": () => streamed(openai.responses(GENERAL)),
  "by Anthropic's": async () => {
    await asked(anthropic(GENERAL));
    await streamed(anthropic(GENERAL));
  },
});
