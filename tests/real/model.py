#!/usr/bin/env python3
"""Chats with a real model server through a running Skep, and measures what Skep costs.

Usage: model.py SKEP MODEL_PORT [RUNS]

SKEP is the binary; an OpenAI-compatible server with a model answers on loopback at MODEL_PORT. A turn and one that goes on
with it, a stop in mid-answer, the same over Anthropic's Messages where the server speaks it; then the time from the first
piece of an answer to its last, in pieces a second, through Skep and directly, RUNS times each in turns. Fails when the
median of the ratios is below 0.98. Standard library only.
"""

import json
import statistics
import sys
import tempfile
import threading
import time
import urllib.request

from chat import Skep, check, is_final

TOKENS = 200
QUESTION = "Tell me a long story about a bee."


def events(response):
    """The events of a stream: their names and data."""
    name, data = "message", []
    for line in response:
        line = line.decode().rstrip("\r\n")
        if not line:
            if data:
                yield name, "\n".join(data)
            name, data = "message", []
        elif line.startswith("event:"):
            name = line[6:].strip()
        elif line.startswith("data:"):
            data.append(line[5:].strip())


def directly(port, system):
    """Tokens a second from the first piece to the last, without Skep."""
    body = {"model": "small", "stream": True, "max_tokens": TOKENS, "stream_options": {"include_usage": True},
            "messages": [{"role": "system", "content": system}, {"role": "user", "content": QUESTION}]}
    request = urllib.request.Request("http://127.0.0.1:%s/v1/chat/completions" % port, json.dumps(body).encode(),
                                     {"Content-Type": "application/json"})
    begun, last, tokens = None, None, 0
    with urllib.request.urlopen(request, timeout=120) as response:
        for _, data in events(response):
            if data == "[DONE]":
                break
            event = json.loads(data)
            tokens = (event.get("usage") or {}).get("completion_tokens", tokens)
            if event["choices"] and event["choices"][0]["delta"].get("content"):
                last = time.monotonic()
                begun = begun or last
    return tokens / (last - begun)


def through(skep, worker):
    """The same as a client of Skep sees it, from the stream of the chat."""
    session = skep.call("POST", "/api/local/sessions", {"name": "measured"})["id"]
    request = urllib.request.Request(skep.url + "/api/local/sessions/%s/stream" % session)
    request.add_header("Authorization", "Bearer " + skep.token)
    seen = {}

    def follow(response):
        for name, data in events(response):
            if name in ("partial", "delta") and json.loads(data)["text"]:
                seen["last"] = time.monotonic()
                seen.setdefault("begun", seen["last"])
            if name == "status" and json.loads(data)["status"] in ("completed", "failed"):
                return

    with urllib.request.urlopen(request, timeout=120) as response:
        follower = threading.Thread(target=follow, args=(response,))
        follower.start()
        queued = skep.say(session, worker, QUESTION)
        follower.join(120)
        execution = skep.wait(queued["execution_id"], is_final)
    check("a measured answer is whole", execution["status"] == "completed", execution)
    return execution["usage"]["output_tokens"] / (seen["last"] - seen["begun"])


def converse(skep, workers, name):
    session = skep.call("POST", "/api/local/sessions", {"name": name})["id"]
    for words in ("Say hello.", "Say it again."):
        answer = skep.ask(session, workers[name], words)
        # A small model may call tools without end, or end without a word; then that is said.
        fine = answer["status"] == "completed" and answer["result"] and answer["usage"]["output_tokens"]
        fine = fine or name == "model" and (answer["error"] or "").split(":")[0] in ("no_answer", "too_many_rounds")
        check("%s: a real model answers" % name, fine, answer)


def main():
    binary, port = sys.argv[1:3]
    runs = int(sys.argv[3]) if len(sys.argv) > 3 else 7
    table = "kind = \"http\"\nurl = \"http://127.0.0.1:%s\"\nmodel = \"small\"\nmax_tokens = %d\ncontext_tokens = 8192\n" % (port, TOKENS)
    settings = "[limits]\nmodel_rounds_max = 3\n[engines.model]\n%s[engines.plain]\n%stools = false\n[engines.messages]\n%sprotocol = \"anthropic\"\ntools = false\n" % (
        table, table, table)
    with tempfile.TemporaryDirectory() as home:
        skep = Skep(binary, home + "/data", settings)
        try:
            listed = {engine["name"]: engine for engine in skep.call("GET", "/api/engines")}
            check("it is listed with its model", listed["model"]["found"] and listed["model"]["models"], listed["model"])
            workers = {name: skep.call("POST", "/api/workers", {"name": name, "engine": name})["id"]
                       for name in ("model", "plain", "messages")}
            for name in ("plain", "messages"):
                converse(skep, workers, name)
            session = skep.call("POST", "/api/local/sessions", {"name": "stopped"})["id"]
            slow = skep.say(session, workers["plain"], QUESTION)["execution_id"]
            skep.wait(slow, lambda execution: execution["status"] == "running")
            time.sleep(0.3)
            begun = time.monotonic()
            skep.call("POST", "/api/executions/%s/cancel" % slow)
            stopped = skep.wait(slow, is_final)
            took = time.monotonic() - begun
            check("stop ends it within 1 s (%.2f s)" % took, stopped["status"] == "cancelled" and took < 1, stopped)
            ratios = []
            for run in range(runs):
                rates = {}
                # In turns, and each first every second time, so that neither has the quieter machine.
                for way in ("directly", "through")[::1 if run % 2 else -1]:
                    rates[way] = directly(port, "Your name is plain.") if way == "directly" else through(skep, workers["plain"])
                ratios.append(rates["through"] / rates["directly"])
                print("     %.1f tokens/s directly, %.1f through Skep: %.3f" % (rates["directly"], rates["through"], ratios[-1]), flush=True)
            median = statistics.median(ratios)
            converse(skep, workers, "model")
            check("tokens a second through Skep: %.3f of direct ones" % median, median >= 0.98, ratios)
        finally:
            skep.process.terminate()
            skep.process.wait(30)


if __name__ == "__main__":
    main()
