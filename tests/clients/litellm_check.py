"""What people do with LiteLLM: one call for OpenAI's, Anthropic's and Ollama's dialect."""

import json

import litellm

from harness import GENERAL, HELLO, HOST, V1, WEATHER, holds, run, same, weather

SAID = [{"role": "user", "content": "Hello"}]
TOOL = {"type": "function", "function": {"name": "weather", "parameters": WEATHER}}
OPENAI = {"model": f"openai/{GENERAL}", "api_base": V1, "api_key": "none-is-needed"}
ANTHROPIC = {"model": f"anthropic/{GENERAL}", "api_base": HOST, "api_key": "none-is-needed"}
OLLAMA = {"model": f"ollama_chat/{GENERAL}", "api_base": HOST}
COMMON = {"messages": SAID, "temperature": 0, "max_tokens": 200}


def said(reply):
    return reply.choices[0].message.content


def chat():
    same(said(litellm.completion(**OPENAI, **COMMON)), HELLO)


def stream():
    chunks = litellm.completion(**OPENAI, **COMMON, stream=True)
    same("".join(chunk.choices[0].delta.content or "" for chunk in chunks), HELLO)


def tools():
    reply = litellm.completion(**OPENAI, **COMMON, tools=[TOOL], tool_choice="required")
    weather(json.loads(reply.choices[0].message.tool_calls[0].function.arguments)["city"])


def anthropic():
    same(said(litellm.completion(**ANTHROPIC, **COMMON)), HELLO)
    chunks = litellm.completion(**ANTHROPIC, **COMMON, stream=True)
    same("".join(chunk.choices[0].delta.content or "" for chunk in chunks), HELLO)


def ollama():
    same(said(litellm.completion(**OLLAMA, **COMMON)), HELLO)
    chunks = litellm.completion(**OLLAMA, **COMMON, stream=True)
    same("".join(chunk.choices[0].delta.content or "" for chunk in chunks), HELLO)


def responses():
    reply = litellm.responses(**OPENAI, input="Hello", temperature=0)
    holds(HELLO in json.dumps(reply.model_dump(), default=str), "it says something else")


run({
    "chat": chat,
    "stream": stream,
    "tools": tools,
    "responses": responses,
    "by Anthropic's": anthropic,
    "by Ollama's": ollama,
})
