"""The same load over HTTP on `signalbox serve` and llama-server, in turns: what clients feel."""

import http.client
import json
import os
import socket
import statistics
import subprocess
import tempfile
import threading
import time
from pathlib import Path

HOST = "127.0.0.1"
SLOTS = 8
TOPICS = (
    "a stack", "a queue", "a linked list", "binary search", "quicksort", "a hash map", "a trie", "a heap",
    "breadth-first search", "a bloom filter", "a ring buffer", "a rate limiter", "an LRU cache", "a matrix product",
    "prime numbers", "the greatest common divisor",
)
RULE = "Rule {n}: when a reader asks about item {n}, answer briefly, name the item, and give one example of its use. "
LINE = "Line {n} of the report says that station {n} sent {n} trains north and {m} trains south on that day. "


class Server:
    """A server of one model, for as long as the block lasts."""

    def __init__(self, name: str, command: list, port: int):
        self.name, self.command, self.port = name, command, port

    def __enter__(self):
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen(self.command, stdout=self.log, stderr=self.log)
        for _ in range(600):
            try:
                if get(self.port, "/v1/models") == 200 and get(self.port, "/health") == 200:
                    chat(self.port, [user("Hello")], 4)
                    return self
            except (OSError, http.client.HTTPException, RuntimeError):
                pass
            if self.process.poll() is not None:
                break
            time.sleep(0.2)
        self.log.seek(0)
        raise SystemExit(f"{self.name} did not start: {self.log.read().decode()[-2000:]}")

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()


class Reply:
    """When its pieces came, and how many tokens it had."""

    def __init__(self):
        self.began, self.times, self.text, self.tokens, self.cached = time.perf_counter(), [], "", 0, 0

    def first(self) -> float:
        return self.times[0] - self.began

    def gaps(self) -> list[float]:
        return [after - before for before, after in zip(self.times, self.times[1:])]


def user(text: str) -> dict:
    return {"role": "user", "content": text}


def get(port: int, path: str) -> int:
    connection = http.client.HTTPConnection(HOST, port, timeout=5)
    connection.request("GET", path)
    return connection.getresponse().status


def chat(port: int, messages: list, tokens: int, **more) -> Reply:
    body = {"messages": messages, "max_tokens": tokens, "temperature": 0, "stream": True} | more
    body["stream_options"] = {"include_usage": True}
    connection = http.client.HTTPConnection(HOST, port, timeout=600)
    connection.connect()
    connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    reply = Reply()
    connection.request("POST", "/v1/chat/completions", json.dumps(body), {"content-type": "application/json"})
    answer = connection.getresponse()
    if answer.status != 200:
        raise RuntimeError(answer.read().decode())
    for line in answer:
        if not line.startswith(b"data: {"):
            continue
        event = json.loads(line[6:])
        usage = event.get("usage")
        if usage:
            reply.tokens = usage["completion_tokens"]
            reply.cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens", 0)
        for choice in event.get("choices", []):
            text = choice["delta"].get("content")
            if text:
                reply.times.append(time.perf_counter())
                reply.text += text
    return reply


def together(port: int, calls: list[tuple[list, int]], clients: int) -> tuple[list[Reply], float]:
    """All calls, so many at a time; and how long they took."""
    replies, left, lock, failed = [], list(reversed(calls)), threading.Lock(), []

    def work():
        while True:
            with lock:
                if not left:
                    return
                messages, tokens = left.pop()
            try:
                reply = chat(port, messages, tokens)
            except (OSError, RuntimeError, http.client.HTTPException) as error:
                failed.append(error)
                return
            with lock:
                replies.append(reply)

    began = time.perf_counter()
    threads = [threading.Thread(target=work) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise SystemExit(f"a call failed: {failed[0]}")
    return replies, time.perf_counter() - began


def figures(replies: list[Reply], took: float) -> dict:
    gaps = sorted(gap for reply in replies for gap in reply.gaps())
    return {
        "tokens/s": sum(reply.tokens for reply in replies) / took,
        "first token, ms": 1000 * statistics.median(reply.first() for reply in replies),
        "p50 gap, ms": 1000 * statistics.median(gaps),
        "p99 gap, ms": 1000 * gaps[int(len(gaps) * 0.99)],
    }


def short_chats(port: int, clients: int, turn: int) -> dict:
    questions = [f"Explain {topic} and write it in Python, version {turn}." for topic in TOPICS]
    calls = [([user(question)], 64) for question in questions[: max(4, 2 * clients)]]
    return figures(*together(port, calls, clients))


def shared_system(port: int, clients: int, turn: int) -> dict:
    rules = f"You are clerk {turn}. " + "".join(RULE.format(n=n) for n in range(36))
    system = {"role": "system", "content": rules}
    first = chat(port, [system, user("What is item 1?")], 16)
    calls = [([system, user(f"What is item {n}?")], 16) for n in range(2, 2 + 2 * clients)]
    replies, took = together(port, calls, clients)
    again = statistics.median(reply.first() for reply in replies)
    return {"first, ms": 1000 * first.first(), "again, ms": 1000 * again, "share": again / first.first()}


def beside_a_document(port: int, turn: int) -> dict:
    """A reply that runs while another client sends some 4,000 tokens."""
    running = []
    talk = threading.Thread(target=lambda: running.append(chat(port, [user(f"Tell story {turn}, a long one.")], 400)))
    talk.start()
    time.sleep(1.5)
    document = "".join(LINE.format(n=n, m=n + turn) for n in range(145))
    reply = chat(port, [user(document + "How many trains did station 7 send north?")], 8)
    talk.join()
    gaps = running[0].gaps()
    return {
        "median gap, ms": 1000 * statistics.median(gaps),
        "longest gap, ms": 1000 * max(gaps),
        "document's first token, s": reply.first(),
    }


def source(functions: int) -> str:
    """A Python file of five lines a function."""
    names = [f"{verb}_{noun}" for verb in ("read", "check", "write", "count", "merge", "sort") for noun in
             ("orders", "users", "prices", "events", "files")]
    function = "def {name}(items, limit={limit}):\n    kept = [item for item in items if item.{name}]\n" \
               "    kept = sorted(kept)[:limit]\n    return {{'{name}': kept}}\n\n"
    return "".join(function.format(name=name, limit=10 + at) for at, name in enumerate(names[:functions]))


def edit(port: int, turn: int) -> Reply:
    ask = "Rename the parameter `limit` to `most` in this file and print the whole file, nothing else.\n\n"
    return chat(port, [user(f"{ask}```python\n# version {turn}\n{source(30)}```")], 1200)


def settings_of(model: Path, folder: str, lookup: bool = True) -> Path:
    config = Path(folder) / f"config-{lookup}.json"
    expert = {"expert_id": "model", "model_path": str(model), "max_model_len": 8192, "max_num_seqs": SLOTS}
    expert["prompt_lookup"] = lookup
    server = {"host": HOST, "port": 18080}
    policies = {"data_dir": folder}
    settings = {"experts": [expert], "server_config": server, "admin": {"port": 18081}, "policies": policies}
    config.write_text(json.dumps(settings))
    return config


def compare_edits(model: Path, ours: Path, turns: int) -> None:
    """What prompt lookup is worth where much of the reply stands in the prompt."""
    with tempfile.TemporaryDirectory() as folder:
        speeds, texts = {True: [], False: []}, {True: [], False: []}
        for turn in range(turns):
            for lookup in (True, False):
                with Server("signalbox", [ours, "serve", "--config", settings_of(model, folder, lookup)], 18080) as server:
                    reply = edit(server.port, turn)
                    took = reply.times[-1] - reply.times[0]
                    speeds[lookup].append(reply.tokens / took)
                    texts[lookup].append(reply.text)
        with_it, without = (statistics.median(speeds[lookup]) for lookup in (True, False))
        same = "the same text" if texts[True] == texts[False] else "ANOTHER TEXT"
        print(f"\nAn edit of a 150-line Python file: {with_it:.1f} tokens/s with prompt lookup, {without:.1f} without "
              f"({with_it / without:.2f}), {same}.")


def compare(model: Path, ours: Path, theirs: Path, turns: int, threads: int) -> None:
    compare_edits(model, ours, turns)
    with tempfile.TemporaryDirectory() as folder:
        mine = [ours, "serve", "--config", settings_of(model, folder)]
        other = [theirs, "-m", model, "-t", str(threads), "-np", str(SLOTS), "-c", str(SLOTS * 8192), "--port", "18082"]
        servers = [Server("signalbox", mine, 18080), Server("llama-server", [*other, "--host", HOST], 18082)]
        works = [(f"{n} clients, short chats", lambda port, turn, n=n: short_chats(port, n, turn)) for n in (1, 4, 8)]
        works.append(("a system prompt of 1,000 tokens, 4 clients", lambda port, turn: shared_system(port, 4, turn)))
        works.append(("beside a document of 4,000 tokens", beside_a_document))
        seen = {(server.name, work): [] for server in servers for work, _ in works}
        for turn in range(turns):
            for server in servers:
                with server:
                    for work, load in works:
                        seen[server.name, work].append(load(server.port, turn))
        print("\n| work over HTTP | figure | signalbox | llama-server | ratio |\n|---|---|---|---|---|")
        for work, _ in works:
            for figure in seen["signalbox", work][0]:
                pair = [statistics.median(run[figure] for run in seen[server.name, work]) for server in servers]
                print(f"| {work} | {figure} | {pair[0]:.3g} | {pair[1]:.3g} | {pair[0] / pair[1]:.2f} |", flush=True)
