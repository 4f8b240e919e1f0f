"""What people do with `llm`: prompts at a command line, with the host among its models."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from harness import GENERAL, HELLO, V1, run, same

folder = Path(tempfile.mkdtemp())
entry = {"model_id": "here", "model_name": GENERAL, "api_base": V1}
(folder / "extra-openai-models.yaml").write_text(json.dumps([entry]))  # JSON is YAML
environment = os.environ | {"LLM_USER_PATH": str(folder), "OPENAI_API_KEY": "none-is-needed"}


def ask(*more):
    command = [Path(sys.executable).parent / "llm", "-m", "here", "-o", "temperature", "0", *more, "Hello"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.strip()


run({"chat": lambda: same(ask("--no-stream"), HELLO), "stream": lambda: same(ask(), HELLO)})
