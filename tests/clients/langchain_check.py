"""What people do with LangChain: its chat models for OpenAI's, Anthropic's and Ollama's APIs, tools, schemas."""

import asyncio
from typing import Literal

from langchain_anthropic import ChatAnthropic
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_ollama import ChatOllama
from langchain_openai import ChatOpenAI
from pydantic import BaseModel

from harness import GENERAL, HELLO, HOST, PICTURE, SEEING, V1, holds, run, same

COMMON = {"temperature": 0, "max_tokens": 200}
openai = ChatOpenAI(model=GENERAL, base_url=V1, api_key="none-is-needed", **COMMON)
anthropic = ChatAnthropic(model=GENERAL, base_url=HOST, api_key="none-is-needed", **COMMON)
ollama = ChatOllama(model=GENERAL, base_url=HOST, temperature=0)


class Answer(BaseModel):
    """Whether all is well."""

    fine: bool


@tool
def forecast(days: Literal[1, 2, 3]) -> str:
    """The weather of the next days."""
    return f"Rain for {days} days"


def asked(model):
    same(model.invoke("Hello").content, HELLO)


def streamed(model):
    chunks = list(model.stream("Hello"))
    same("".join(chunk.content if isinstance(chunk.content, str) else said(chunk) for chunk in chunks), HELLO)


def said(chunk):
    return "".join(part.get("text", "") for part in chunk.content)


def tools():
    bound = openai.bind_tools([forecast], tool_choice="forecast", strict=True)
    said = HumanMessage("Hello")
    reply = bound.invoke([said])
    call = reply.tool_calls[0]
    holds(call["args"]["days"] in (1, 2, 3), call)
    result = ToolMessage(forecast.invoke(call["args"]), tool_call_id=call["id"])
    holds(openai.bind_tools([forecast]).invoke([said, reply, result]).response_metadata, "no reply to a result")


def schema():
    for method in ("json_schema", "function_calling"):
        answer = openai.with_structured_output(Answer, method=method, strict=True).invoke("Hello")
        holds(isinstance(answer, Answer), method)


def images():
    seeing = ChatOpenAI(model=SEEING, base_url=V1, api_key="none-is-needed", **COMMON)
    picture = {"type": "image", "base64": PICTURE, "mime_type": "image/png"}
    holds(seeing.invoke([HumanMessage([picture, {"type": "text", "text": "What is this?"}])]).content, "nothing is said")


def responses():
    model = ChatOpenAI(model=GENERAL, base_url=V1, api_key="none-is-needed", use_responses_api=True, **COMMON)
    same(said(model.invoke("Hello")), HELLO)


def both(model):
    asked(model)
    streamed(model)


run({
    "chat": lambda: asked(openai),
    "stream": lambda: streamed(openai),
    "tools": tools,
    "schema": schema,
    "images": images,
    "responses": responses,
    "by Anthropic's": lambda: both(anthropic),
    "by Ollama's": lambda: both(ollama),
    "async": lambda: same(asyncio.run(openai.ainvoke("Hello")).content, HELLO),
})
