#!/usr/bin/env python3
"""What a policy costs in each language: builds the same three examples in Rust, JavaScript and Python, runs their cases
under the limits of a host, and prints the table of docs/policies.md. Needs `signalbox` on the path, or its path in
SIGNALBOX_BINARY; a release build, or the numbers mean nothing."""

import json
import os
import pathlib
import statistics
import subprocess

EXAMPLES = ["round-robin", "token-budget", "redact-pii"]
LANGUAGES = {"Rust": "", "JavaScript": "js", "Python": "python"}
REPEAT = 101
HERE = pathlib.Path(__file__).parent


def measured(example: str, folder: str) -> dict:
    policy = HERE / example / folder
    binary = os.environ.get("SIGNALBOX_BINARY", "signalbox")
    command = [binary, "policy", "--json", "test", str(policy), "--repeat", str(REPEAT)]
    told = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    hooks = [(name, cost) for case in told["cases"] for name, cost in case["hooks"].items()]
    return {
        "MiB": told["bytes"] / 2**20,
        "compile ms": told["compile_ms"],
        "us": {
            name: statistics.median(cost["wall_us"] / cost["calls"] for hook, cost in hooks if hook == name)
            for name in dict(hooks)
        },
        "memory MiB": max(cost["memory_bytes"] for _, cost in hooks) / 2**20,
    }


print("| example | language | component, MiB | compile, ms | µs per call | memory of an instance, MiB |")
print("|---|---|---|---|---|---|")
for example in EXAMPLES:
    for language, folder in LANGUAGES.items():
        cost = measured(example, folder)
        calls = ", ".join(f"{us:.0f} ({hook})" for hook, us in cost["us"].items())
        print(
            f"| {example} | {language} | {cost['MiB']:.2f} | {cost['compile ms']:,} | {calls} | "
            f"{cost['memory MiB']:.1f} |",
            flush=True,
        )
