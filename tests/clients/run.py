#!/usr/bin/env python3
"""Have people's own client libraries use a host, and print what works: client by feature.

    tests/clients/run.py                                        the clients of every full check, on the demo
    tests/clients/run.py all                                    every client
    tests/clients/run.py openai-python --host http://127.0.0.1:8080

Each client is installed from its registry, pinned, into a folder of its own under $SIGNALBOX_CLIENT_CACHE, or else
~/.cache/signalbox/clients; one that is there is kept. Those of Node's want node and npm on the path. The demo is started from
$SIGNALBOX_BINARY, or else `signalbox` on the path. Ends with 1 when anything fails.
"""

import argparse
import base64
import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
import venv
from pathlib import Path

HERE = Path(__file__).parent
PICTURE = HERE.parent / "models" / "gemma3_multimodal_pictures" / "red_circle.png"
# Name, script, what is installed, whether every full check runs it.
CLIENTS = [
    ("openai-python", "openai_python.py", ["openai==3.57.0"], True),
    ("anthropic-python", "anthropic_python.py", ["anthropic==2.14.0"], True),
    ("ollama-python", "ollama_python.py", ["ollama==0.6.3"], True),
    ("LiteLLM", "litellm_check.py", ["litellm==1.110.2"], False),
    ("instructor", "instructor_check.py", ["instructor==1.17.0"], False),
    ("pydantic-ai", "pydantic_ai_check.py", ["pydantic-ai-slim[openai]==2.68.0"], False),
    ("llm", "llm_check.py", ["llm==0.36"], False),
    (
        "LangChain",
        "langchain_check.py",
        ["langchain-openai==1.7.4", "langchain-anthropic==1.7.10", "langchain-ollama==1.1.0"],
        False,
    ),
    ("openai-node", "openai_node.mjs", ["openai@7.57.0", "zod@4.6.7"], False),
    (
        "Vercel AI SDK",
        "ai_sdk.mjs",
        ["ai@7.0.173", "@ai-sdk/openai-compatible@3.0.92", "@ai-sdk/openai@4.0.118", "@ai-sdk/anthropic@4.0.105"],
        False,
    ),
]
READY_S = 60
CHECKS_S = 600


def cache():
    chosen = os.environ.get("SIGNALBOX_CLIENT_CACHE")
    return Path(chosen) if chosen else Path.home() / ".cache" / "signalbox" / "clients"


def folder_of(name, packages):
    """Where a client is installed. Its pins name its folder, so that other pins are another one."""
    plain = "".join(c if c.isalnum() or c in "._-" else "-" for c in "_".join([name, *packages]))
    return cache() / plain


def installed(name, packages):
    """The interpreter that has a client of Python's."""
    folder = folder_of(name, packages)
    python = folder / "bin" / "python"
    done = folder / ".installed"
    if not done.exists():
        venv.create(folder, with_pip=True, clear=True)
        quiet = ["-q", "--disable-pip-version-check"]
        subprocess.run([python, "-m", "pip", "install", *quiet, *packages], check=True)
        done.touch()
    return python


def installed_for_node(name, packages):
    """A folder that has a client of Node's and the scripts: modules are looked for beside whoever imports them."""
    folder = folder_of(name, packages)
    done = folder / ".installed"
    if not done.exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        (folder / "package.json").write_text('{"private": true}')
        quiet = ["--silent", "--no-audit", "--no-fund", "--ignore-scripts"]
        subprocess.run(["npm", "install", *quiet, *packages], cwd=folder, check=True)
        done.touch()
    for script in HERE.glob("*.mjs"):
        shutil.copy(script, folder)
    return folder


def command(name, script, packages):
    """What runs a script."""
    if script.endswith(".mjs"):
        return ["node", installed_for_node(name, packages) / script]
    return [installed(name, packages), HERE / script]


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@contextlib.contextmanager
def demo():
    """A demo of its own, ready."""
    binary = os.environ.get("SIGNALBOX_BINARY", "signalbox")
    port = free_port()
    command = [binary, "demo", "--port", str(port), "--admin-port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    host = f"http://127.0.0.1:{port}"
    try:
        wait(host, process)
        yield host
    finally:
        process.terminate()
        process.wait()


def wait(host, process):
    late = time.monotonic() + READY_S
    while time.monotonic() < late and process.poll() is None:
        with contextlib.suppress(OSError):
            if urllib.request.urlopen(f"{host}/ready", timeout=5).status == 200:
                return
        time.sleep(0.2)
    raise SystemExit(f"the demo was not ready within {READY_S} s")


def ask(name, script, packages, host):
    """The outcomes of one client, by feature."""
    environment = os.environ | {
        "SIGNALBOX_CLIENTS_HOST": host,
        "SIGNALBOX_CLIENTS_PICTURE": base64.b64encode(PICTURE.read_bytes()).decode(),
        "PYTHONPATH": str(HERE),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    runs = command(name, script, packages)
    done = subprocess.run(runs, env=environment, capture_output=True, text=True, timeout=CHECKS_S)
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    outcomes = {line["feature"]: line for line in lines}
    if not outcomes or (done.returncode and not any(line["outcome"] == "fails" for line in lines)):
        outcomes["start"] = {"outcome": "fails", "detail": done.stderr.strip()[-400:]}
    return outcomes


def table(results):
    """Markdown, a client a row."""
    features = list(dict.fromkeys(feature for outcomes in results.values() for feature in outcomes))
    rows = [["client", *features], ["---"] * (len(features) + 1)]
    for name, outcomes in results.items():
        rows.append([name, *(outcomes.get(feature, {}).get("outcome", "") for feature in features)])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clients", nargs="*", help="by name, or all")
    parser.add_argument("--host", help="a host that serves the demo's experts")
    asked = parser.parse_args()
    known = [name for name, *_ in CLIENTS]
    for name in asked.clients:
        if name not in [*known, "all"]:
            parser.error(f"there is no client {name}; there are {', '.join(known)} and all")
    chosen = [
        client
        for client in CLIENTS
        if "all" in asked.clients or client[0] in asked.clients or (not asked.clients and client[3])
    ]
    with contextlib.nullcontext(asked.host) if asked.host else demo() as host:
        results = {name: ask(name, script, packages, host) for name, script, packages, _ in chosen}
    print(table(results))
    other = [
        (name, feature, line)
        for name, outcomes in results.items()
        for feature, line in outcomes.items()
        if line["outcome"] != "works"
    ]
    for name, feature, line in other:
        print(f"{name}, {feature}: {line['outcome']}: {line['detail']}")
    sys.exit(any(line["outcome"] == "fails" for *_, line in other))


if __name__ == "__main__":
    main()
