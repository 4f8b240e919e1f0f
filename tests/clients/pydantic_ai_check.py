"""What people do with pydantic-ai: agents that talk, and that answer as objects."""

from pydantic import BaseModel
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

from harness import GENERAL, HELLO, V1, holds, run, same

model = OpenAIChatModel(GENERAL, provider=OpenAIProvider(base_url=V1, api_key="none-is-needed"))
GREEDY = {"temperature": 0, "max_tokens": 200}


class Answer(BaseModel):
    fine: bool


def chat():
    same(Agent(model, model_settings=GREEDY).run_sync("Hello").output, HELLO)


def stream():
    reply = Agent(model, model_settings=GREEDY).run_stream_sync("Hello")
    same(list(reply.stream_text())[-1], HELLO)


def tools():
    reply = Agent(model, output_type=Answer, model_settings=GREEDY).run_sync("Hello")
    holds(isinstance(reply.output, Answer), "nothing was parsed")


run({"chat": chat, "stream": stream, "tools": tools})
