"""What people do with instructor: objects out of conversations, by tools and by schemas."""

import instructor
from openai import OpenAI
from pydantic import BaseModel, ConfigDict

from harness import GENERAL, V1, holds, run

SAID = [{"role": "user", "content": "Hello"}]


class Answer(BaseModel):
    model_config = ConfigDict(extra="forbid")  # a toy that may write more never ends

    fine: bool


def asked(mode):
    client = instructor.from_openai(OpenAI(base_url=V1, api_key="none-is-needed"), mode=mode)
    reply = client.chat.completions.create(model=GENERAL, messages=SAID, response_model=Answer, temperature=0)
    holds(isinstance(reply, Answer), "nothing was parsed")


run({
    "tools": lambda: asked(instructor.Mode.TOOLS),
    "schema": lambda: asked(instructor.Mode.JSON_SCHEMA),
})
