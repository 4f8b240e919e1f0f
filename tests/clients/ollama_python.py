"""What people do with ollama-python: generate, chat, tools, formats, models."""

import asyncio
import json

from ollama import AsyncClient, Client, ResponseError

from harness import CODER, GENERAL, HELLO, HOST, PICTURE, SEEING, WEATHER, holds, run, same, weather

client = Client(host=HOST)
SAID = [{"role": "user", "content": "Hello"}]
GREEDY = {"temperature": 0, "num_predict": 200}
TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather now.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "enum": ["Bilbao", "Vigo"]}},
            "required": ["city"],
        },
    },
}


def models():
    names = [model.model for model in client.list().models]
    holds(f"{GENERAL}:latest" in names, names)
    holds("completion" in client.show(GENERAL).capabilities, "no completion")
    client.generate(GENERAL)
    holds(any(model.model == f"{GENERAL}:latest" for model in client.ps().models), "it is not loaded")


def chat():
    reply = client.chat(f"{GENERAL}:latest", SAID, options=GREEDY)
    same((reply.message.content, reply.done_reason), (HELLO, "stop"))
    holds(reply.eval_count > 0 and reply.total_duration > 0, "nothing was measured")


def stream():
    pieces = list(client.chat(GENERAL, SAID, options=GREEDY, stream=True))
    same("".join(piece.message.content for piece in pieces), HELLO)
    holds(pieces[-1].done and pieces[-1].eval_count > 0, "nothing was counted")


def generate():
    same(client.generate(GENERAL, "Hello", options=GREEDY).response, HELLO)
    pieces = client.generate(GENERAL, "Hello", options=GREEDY, stream=True, keep_alive="5m")
    same("".join(piece.response for piece in pieces), HELLO)
    raw = client.generate(GENERAL, "Once", raw=True, options={"num_predict": 3})
    same(raw.eval_count, 3)


def gaps():
    holds(client.generate(CODER, "def f(", suffix="return", options={"num_predict": 8}).done, "no end")


def system():
    holds(client.generate(GENERAL, "Hello", system="Be brief.", options=GREEDY).response, "nothing is said")


def stops():
    same(client.generate(GENERAL, "Hello", options=GREEDY | {"stop": ["fine"]}).response, "Hello! I am ")


def tools():
    reply = client.chat(GENERAL, SAID, tools=[TOOL], options=GREEDY)
    holds(reply.done, "no end")
    call = {"function": {"name": "weather", "arguments": {"city": "Vigo"}}}
    turns = [*SAID, {"role": "assistant", "content": "", "tool_calls": [call]}]
    turns.append({"role": "tool", "tool_name": "weather", "content": "Rain"})
    holds(client.chat(GENERAL, turns, tools=[TOOL], options=GREEDY).message.content, "nothing is said")


def schema():
    weather(json.loads(client.chat(GENERAL, SAID, format=WEATHER, options=GREEDY).message.content)["city"])
    loose = client.generate(GENERAL, "Hello", format="json", options=GREEDY).response
    holds(loose.startswith("{"), loose)  # a toy knows no end of strings


def images():
    said = [{"role": "user", "content": "What is this?", "images": [PICTURE]}]
    holds(client.chat(SEEING, said, options=GREEDY).message.content, "nothing is said")


def logprobs():
    reply = client.chat(GENERAL, SAID, options=GREEDY, logprobs=True, top_logprobs=2)
    same("".join(token.token for token in reply.logprobs), HELLO)


def errors():
    try:
        client.chat("nobody", SAID)
        raise AssertionError("nobody answered")
    except ResponseError as error:
        same(error.status_code, 404)
        holds("nobody" in error.error, error.error)


def asynchronous():
    async def ask():
        return (await AsyncClient(host=HOST).chat(GENERAL, SAID, options=GREEDY)).message.content

    same(asyncio.run(ask()), HELLO)


run({
    "models": models,
    "chat": chat,
    "stream": stream,
    "text": generate,
    "gaps": gaps,
    "system": system,
    "n, stop": stops,
    "tools": tools,
    "schema": schema,
    "logprobs": logprobs,
    "images": images,
    "errors": errors,
    "async": asynchronous,
})
