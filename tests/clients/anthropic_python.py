"""What people do with anthropic-python: messages, streams, tools, counts."""

import asyncio

from anthropic import Anthropic, AsyncAnthropic, BadRequestError, NotFoundError

from harness import GENERAL, HELLO, HOST, PICTURE, SEEING, WEATHER, holds, run, same, weather

client = Anthropic(base_url=HOST, api_key="none-is-needed")
SAID = [{"role": "user", "content": "Hello"}]
COMMON = {"model": GENERAL, "max_tokens": 200, "extra_body": {"temperature": 0}}
TOOL = {"name": "weather", "description": "The weather now.", "input_schema": WEATHER}


def models():
    ids = [model.id for model in client.models.list()]
    holds(GENERAL in ids, ids)


def chat():
    reply = client.messages.create(messages=SAID, **COMMON)
    same((reply.content[0].text, reply.stop_reason), (HELLO, "end_turn"))
    holds(reply.usage.input_tokens + reply.usage.cache_read_input_tokens > 0, "no usage")


def stream():
    with client.messages.stream(messages=SAID, **COMMON) as events:
        same("".join(events.text_stream), HELLO)
        final = events.get_final_message()
    same((final.stop_reason, final.content[0].text), ("end_turn", HELLO))
    holds(final.usage.output_tokens > 0, "no usage")


def system():
    blocks = [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}]
    holds(client.messages.create(messages=SAID, system=blocks, **COMMON).content, "nothing is said")
    holds(client.messages.create(messages=SAID, system="Be brief.", **COMMON).content, "nothing is said")


def stops():
    reply = client.messages.create(messages=SAID, stop_sequences=["never", "fine"], **COMMON)
    same((reply.stop_reason, reply.stop_sequence), ("stop_sequence", "fine"))


def tools():
    reply = client.messages.create(messages=SAID, tools=[TOOL], tool_choice={"type": "any"}, **COMMON)
    same(reply.stop_reason, "tool_use")
    call = next(block for block in reply.content if block.type == "tool_use")
    weather(call.input["city"])
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "Rain"}
    turns = [*SAID, {"role": "assistant", "content": reply.content}, {"role": "user", "content": [result]}]
    holds(client.messages.create(messages=turns, tools=[TOOL], **COMMON).stop_reason, "no end")


def tool_stream():
    choice = {"type": "tool", "name": "weather"}
    with client.messages.stream(messages=SAID, tools=[TOOL], tool_choice=choice, **COMMON) as events:
        final = events.get_final_message()
    weather(next(block for block in final.content if block.type == "tool_use").input["city"])


def images():
    source = {"type": "base64", "media_type": "image/png", "data": PICTURE}
    said = [{"role": "user", "content": [{"type": "image", "source": source}, {"type": "text", "text": "What is this?"}]}]
    holds(client.messages.create(messages=said, **COMMON | {"model": SEEING}).content, "nothing is said")


def count():
    counted = client.messages.count_tokens(model=GENERAL, messages=SAID).input_tokens
    usage = client.messages.create(messages=SAID, **COMMON).usage
    same(counted, usage.input_tokens + usage.cache_read_input_tokens)


def errors():
    try:
        client.messages.create(messages=SAID, **COMMON | {"model": "nobody"})
        raise AssertionError("nobody answered")
    except NotFoundError as error:
        same(error.body["error"]["type"], "not_found_error")
    try:
        client.messages.create(messages=[{"role": "user", "content": "word " * 5000}], **COMMON)
        raise AssertionError("too long a prompt was answered")
    except BadRequestError as error:
        holds("prompt is too long" in str(error), str(error))


def asynchronous():
    async def ask():
        async with AsyncAnthropic(base_url=HOST, api_key="none-is-needed") as other:
            reply = await other.messages.create(messages=SAID, **COMMON)
            return reply.content[0].text

    same(asyncio.run(ask()), HELLO)


run({
    "models": models,
    "chat": chat,
    "stream": stream,
    "system": system,
    "n, stop": stops,
    "tools": tools,
    "tools, stream": tool_stream,
    "images": images,
    "count": count,
    "errors": errors,
    "async": asynchronous,
})
