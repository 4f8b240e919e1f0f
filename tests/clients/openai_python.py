"""What people do with openai-python: chat, tools, schemas, text, responses."""

import asyncio
import json

from openai import AsyncOpenAI, BadRequestError, NotFoundError, OpenAI
from pydantic import BaseModel

from harness import CODER, GENERAL, HELLO, PICTURE, SEEING, V1, WEATHER, holds, run, same, weather

client = OpenAI(base_url=V1, api_key="none-is-needed")
SAID = [{"role": "user", "content": "Hello"}]
TOOL = {"type": "function", "function": {"name": "weather", "parameters": WEATHER, "strict": True}}
FLAT = {"type": "function", "name": "weather", "parameters": WEATHER, "strict": True}
COMMON = {"model": GENERAL, "temperature": 0, "max_tokens": 200}


class Answer(BaseModel):
    fine: bool


def models():
    ids = [model.id for model in client.models.list()]
    holds("auto" in ids and GENERAL in ids, ids)
    same(client.models.retrieve(GENERAL).id, GENERAL)


def chat():
    reply = client.chat.completions.create(messages=SAID, **COMMON)
    same(reply.choices[0].message.content, HELLO)
    same(reply.usage.total_tokens, reply.usage.prompt_tokens + reply.usage.completion_tokens)


def stream():
    options = {"include_usage": True}
    chunks = list(client.chat.completions.create(messages=SAID, stream=True, stream_options=options, **COMMON))
    same("".join(c.choices[0].delta.content or "" for c in chunks if c.choices), HELLO)
    holds(chunks[-1].usage.completion_tokens > 0, "no usage")


def several():
    again = client.chat.completions.create(messages=SAID, n=2, **COMMON)
    same([choice.message.content for choice in again.choices], [HELLO, HELLO])
    same(client.chat.completions.create(messages=SAID, stop=["fine"], **COMMON).choices[0].message.content, "Hello! I am ")


def tools():
    reply = client.chat.completions.create(messages=SAID, tools=[TOOL], tool_choice="required", **COMMON)
    call = reply.choices[0].message.tool_calls[0]
    weather(json.loads(call.function.arguments)["city"])
    same(reply.choices[0].finish_reason, "tool_calls")
    result = {"role": "tool", "tool_call_id": call.id, "content": "Rain"}
    after = client.chat.completions.create(messages=[*SAID, reply.choices[0].message, result], tools=[TOOL], **COMMON)
    holds(after.choices[0].message, "no reply to a result")


def tool_stream():
    choice = {"type": "function", "function": {"name": "weather"}}
    with client.chat.completions.stream(messages=SAID, tools=[TOOL], tool_choice=choice, **COMMON) as events:
        done = [event for event in events if event.type == "tool_calls.function.arguments.done"]
    weather(json.loads(done[0].arguments)["city"])


def schema():
    reply = client.chat.completions.parse(messages=SAID, response_format=Answer, **COMMON)
    holds(isinstance(reply.choices[0].message.parsed, Answer), "nothing was parsed")


def logprobs():
    reply = client.chat.completions.create(messages=SAID, logprobs=True, top_logprobs=2, **COMMON)
    tokens = reply.choices[0].logprobs.content
    same("".join(token.token for token in tokens), HELLO)
    holds(all(len(token.top_logprobs) == 2 for token in tokens), "not two each")


def images():
    picture = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PICTURE}"}}
    said = [{"role": "user", "content": [picture, {"type": "text", "text": "What is this?"}]}]
    reply = client.chat.completions.create(messages=said, **COMMON | {"model": SEEING})
    holds(reply.choices[0].message.content, "nothing is said")


def text():
    reply = client.completions.create(prompt="Once", **COMMON | {"max_tokens": 3})
    same(reply.usage.completion_tokens, 3)
    several = client.completions.create(prompt=["Once", "Twice"], echo=True, **COMMON | {"max_tokens": 3})
    same([choice.text.split()[0][:5] for choice in several.choices], ["Once", "Twice"])
    ids = client.completions.create(prompt=[5, 6, 7], **COMMON | {"max_tokens": 3})
    same(ids.usage.prompt_tokens, 3)


def gaps():
    reply = client.completions.create(prompt="def f(", suffix="return", **COMMON | {"model": CODER, "max_tokens": 8})
    holds(reply.choices[0].finish_reason, "no end")


def responses():
    first = client.responses.create(model=GENERAL, input="Hello", temperature=0)
    same(first.output_text, HELLO)
    second = client.responses.create(model=GENERAL, input="Hello", previous_response_id=first.id, temperature=0)
    holds(second.usage.input_tokens > first.usage.input_tokens, "nothing came before it")
    same(client.responses.retrieve(first.id).output_text, HELLO)
    client.responses.delete(first.id)
    parsed = client.responses.parse(model=GENERAL, input="Hello", text_format=Answer)
    holds(isinstance(parsed.output_parsed, Answer), "nothing was parsed")


def responses_stream():
    with client.responses.stream(model=GENERAL, input="Hello", temperature=0) as events:
        kinds = [event.type for event in events]
        same(events.get_final_response().output_text, HELLO)
    same((kinds[0], kinds[-1]), ("response.created", "response.completed"))


def responses_tools():
    reply = client.responses.create(model=GENERAL, input="Hello", tools=[FLAT], tool_choice="required", temperature=0)
    call = next(item for item in reply.output if item.type == "function_call")
    weather(json.loads(call.arguments)["city"])
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "Rain"}
    after = client.responses.create(model=GENERAL, previous_response_id=reply.id, input=[result], tools=[FLAT])
    holds(after.status, "no status")


def errors():
    try:
        client.chat.completions.create(model="nobody", messages=SAID)
        raise AssertionError("nobody answered")
    except NotFoundError as error:
        same(error.code, "model_not_found")
    try:
        client.chat.completions.create(model=GENERAL, messages=[{"role": "user", "content": "word " * 5000}])
        raise AssertionError("too long a prompt was answered")
    except BadRequestError as error:
        same(error.code, "context_length_exceeded")


def asynchronous():
    async def ask():
        async with AsyncOpenAI(base_url=V1, api_key="none-is-needed") as other:
            reply = await other.chat.completions.create(messages=SAID, **COMMON)
            return reply.choices[0].message.content

    same(asyncio.run(ask()), HELLO)


run({
    "models": models,
    "chat": chat,
    "stream": stream,
    "n, stop": several,
    "tools": tools,
    "tools, stream": tool_stream,
    "schema": schema,
    "logprobs": logprobs,
    "images": images,
    "text": text,
    "gaps": gaps,
    "responses": responses,
    "responses, stream": responses_stream,
    "responses, tools": responses_tools,
    "errors": errors,
    "async": asynchronous,
})
