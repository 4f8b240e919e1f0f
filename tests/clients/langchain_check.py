"""What people do with LangChain: chat, streams, tools, schemas, by each dialect's package."""

from langchain_anthropic import ChatAnthropic
from langchain_ollama import ChatOllama
from langchain_openai import ChatOpenAI
from pydantic import BaseModel

from harness import GENERAL, HELLO, HOST, V1, holds, run, same

openai = ChatOpenAI(model=GENERAL, base_url=V1, api_key="none-is-needed", temperature=0, max_tokens=200)


class Weather(BaseModel):
    """The weather now."""

    city: str


def chat():
    same(openai.invoke("Hello").content, HELLO)


def stream():
    same("".join(chunk.content for chunk in openai.stream("Hello")), HELLO)


def tools():
    bound = openai.bind_tools([Weather], tool_choice="required")
    holds(bound.invoke("Hello").tool_calls, "nothing is called")


def schema():
    class Answer(BaseModel):
        fine: bool

    reply = openai.with_structured_output(Answer, method="json_schema").invoke("Hello")
    holds(isinstance(reply, Answer), "nothing was parsed")


def responses():
    other = ChatOpenAI(model=GENERAL, base_url=V1, api_key="none-is-needed", temperature=0, use_responses_api=True)
    same(other.invoke("Hello").text, HELLO)


def anthropic():
    other = ChatAnthropic(model=GENERAL, base_url=HOST, api_key="none-is-needed", temperature=0, max_tokens=200)
    same(other.invoke("Hello").content, HELLO)
    holds(other.bind_tools([Weather], tool_choice="any").invoke("Hello").tool_calls, "nothing is called")


def ollama():
    other = ChatOllama(model=GENERAL, base_url=HOST, temperature=0)
    same(other.invoke("Hello").content, HELLO)
    same("".join(chunk.content for chunk in other.stream("Hello")), HELLO)


run({
    "chat": chat,
    "stream": stream,
    "tools": tools,
    "schema": schema,
    "responses": responses,
    "by Anthropic's": anthropic,
    "by Ollama's": ollama,
})
