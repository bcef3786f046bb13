#!/usr/bin/env python3
"""Chats with every real command line and agent through a running Skep, over its API alone.

Usage: chat.py SKEP ENGINES MODEL_PORT SCRIPTED_PORT [KIND...]

SKEP is the binary, ENGINES the directory of the command lines; every KIND is tried, or all. For each: a turn with the real
model and one that goes on with it, a tool call, a stop in mid-reply after which nothing of the engine is left, and at last
a server that is killed in mid-reply. Standard library only.
"""

import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

PATIENCE_S = 180


class Skep:
    def __init__(self, binary, data, settings):
        pathlib.Path(data).mkdir(mode=0o700, exist_ok=True)
        pathlib.Path(data, "skep.toml").write_text(settings)
        env = dict(os.environ, SKEP_PASSWORD="correct horse battery")
        self.process = subprocess.Popen(
            [binary, "serve", "--data", data, "--listen", "127.0.0.1:0"], env=env, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True)
        self.url = re.search(r"http://\S+", self.process.stdout.readline()).group()
        self.link = re.search(r"http://\S+", self.process.stdout.readline()).group()
        self.token = None
        answer = self.call("POST", "/api/auth/login", {"username": "admin", "password": "correct horse battery"})
        self.token = answer["access_token"]

    def call(self, method, path, body=None):
        request = urllib.request.Request(self.url + path, method=method)
        if self.token:
            request.add_header("Authorization", "Bearer " + self.token)
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, data, timeout=30) as response:
                return json.loads(response.read() or b"null")
        except urllib.error.HTTPError as error:
            raise SystemExit("%s %s: %s %s" % (method, path, error.code, error.read().decode()))

    def text(self, path):
        request = urllib.request.Request(self.url + path, headers={"Authorization": "Bearer " + self.token})
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.read().decode()

    def say(self, session, worker, text):
        return self.call("POST", "/api/local/sessions/%s/messages" % session, {"content": text, "worker_id": worker})

    def execution(self, execution_id):
        return self.call("GET", "/api/executions/" + execution_id)

    def wait(self, execution_id, until):
        begun = time.monotonic()
        while time.monotonic() - begun < PATIENCE_S:
            execution = self.execution(execution_id)
            if until(execution):
                return execution
            time.sleep(0.1)
        raise SystemExit("waited too long: %s" % execution)

    def ask(self, session, worker, text):
        queued = self.say(session, worker, text)
        return self.wait(queued["execution_id"], is_final)


def is_final(execution):
    return execution["status"] in ("completed", "failed", "cancelled")


def parent(pid):
    """The parent of a living process; None if it is dead, buried or not."""
    try:
        state, parent = pathlib.Path("/proc/%d/stat" % pid).read_text().rsplit(")", 1)[1].split()[:2]
    except OSError:
        return None
    return None if state == "Z" else int(parent)


def lives(pid):
    return parent(pid) is not None


def below(pid):
    """Every living process below one, itself left out."""
    pids = [int(entry.name) for entry in pathlib.Path("/proc").glob("[0-9]*")]
    parents = {pid: parent(pid) for pid in pids}
    found, level = set(), {pid}
    while level:
        level = {child for child in pids if parents[child] in level}
        found |= level
    return found


# Those over the Agent Client Protocol, and how each is started.
AGENTS = {
    "opencode-acp": ["opencode", "acp"],
    # Its own sandbox needs bubblewrap, and it asks for what it does not know to be harmless.
    "codex-acp": ["codex-acp", "-c", "model=gpt-5.2", "-c", 'sandbox_mode="danger-full-access"',
                  "-c", 'approval_policy="untrusted"'],
    "gemini-acp": ["gemini", "--experimental-acp", "--skip-trust", "--model=gemini-2.5-flash"],
    "claude-code-acp": ["claude-code-acp"],
}
KINDS = ["claude", "codex", "opencode", "gemini", *AGENTS]
# They speak to a model server in a way that llama.cpp does not, or say more than fits a small model.
SCRIPTED_ALONE = ("gemini", "gemini-acp", "claude-code-acp", "opencode-acp")
MODELS = {"claude": "small", "codex": "small", "opencode": "local/small", "opencode-acp": "local/small",
          "gemini": "gemini-2.5-flash"}


def left(skep):
    """What still runs below the server, by what it was started as, without the guard that waits for the next engine."""
    files = {pid: pathlib.Path("/proc/%d/cmdline" % pid) for pid in below(skep.process.pid)}
    words = {pid: file.read_bytes().split(b"\0") for pid, file in files.items() if file.exists()}
    return {pid: b" ".join(argv).decode() for pid, argv in words.items() if b"__guard" not in argv[1:2] or below(pid)}


def settings(engines, home, model_port, scripted_port):
    lines = []
    for kind in KINDS:
        for name, port in (("real", model_port), ("scripted", scripted_port)):
            base = "http://127.0.0.1:%s" % (scripted_port if kind in SCRIPTED_ALONE else port)
            own = pathlib.Path(home, kind, name)
            for directory in (".config/opencode", ".gemini"):
                (own / directory).mkdir(parents=True)
            (own / "instructions.md").write_text("You are brief.")
            # With an address of its own it does not take the key by itself.
            (own / ".gemini/settings.json").write_text('{"security":{"auth":{"selectedType":"gemini-api-key"}}}')
            asks = {"permission": {"bash": "ask", "edit": "ask"}} if kind in AGENTS else {}
            (own / ".config/opencode/opencode.json").write_text(json.dumps(dict(asks, provider={"local": {
                "npm": "@ai-sdk/openai-compatible", "options": {"baseURL": base + "/v1", "apiKey": "x"},
                "models": {"small": {}}}})))
            program, *argv = AGENTS.get(kind, [kind])
            argv = [str(pathlib.Path(engines, program)), *argv]
            if kind in ("codex", "codex-acp"):
                provider = {"name": "local", "base_url": base + "/v1", "wire_api": "responses", "env_key": "OPENAI_API_KEY"}
                table = ",".join("%s=%s" % (key, json.dumps(value)) for key, value in provider.items())
                argv += ["-c", "model_provider=local", "-c", "model_providers.local={%s}" % table,
                         "-c", "model_instructions_file=%s" % json.dumps(str(own / "instructions.md"))]
            if kind == "claude" and name == "real":
                argv += ["--tools", "", "--system-prompt", "You are brief."]
            env = {"HOME": str(own), "ANTHROPIC_BASE_URL": base, "ANTHROPIC_API_KEY": "x", "OPENAI_API_KEY": "x",
                   "CLAUDE_CODE_MAX_OUTPUT_TOKENS": "200", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
                   "GEMINI_API_KEY": "x", "GOOGLE_GEMINI_BASE_URL": base}
            lines += ["[engines.%s-%s]" % (kind, name), "kind = %s" % json.dumps("acp" if kind in AGENTS else kind),
                      "argv = %s" % json.dumps(argv), "read = %s" % json.dumps([str(own / "instructions.md")]),
                      *("model = %s" % json.dumps(model) for model in MODELS.get(kind, "").split()),
                      "env = { %s }" % ", ".join("%s = %s" % (key, json.dumps(value)) for key, value in env.items())]
    return "\n".join(lines) + "\n"


def check(what, good, seen):
    print("%s %s" % ("ok  " if good else "FAIL", what), flush=True)
    if not good:
        raise SystemExit("%s: %s" % (what, json.dumps(seen)[:2000]))


def chat(skep, kind):
    worker = {}
    for name in ("real", "scripted"):
        worker[name] = skep.call("POST", "/api/workers", {
            "name": "%s %s" % (kind, name), "engine": "%s-%s" % (kind, name), "description": "Says hello.",
            # They would ask, or not have the tool at all.
            "permissions": "allow_all" if kind in AGENTS or kind == "gemini" else "allow_edits"})["id"]
    session = skep.call("POST", "/api/local/sessions", {"name": kind})["id"]

    first = skep.ask(session, worker["real"], "Say hello.")
    check(kind + ": a real model answers", first["status"] == "completed" and first["result"], first)
    following = skep.ask(session, worker["real"], "Say it again.")
    check(kind + ": the next turn goes on with the same session", following["status"] == "completed"
          and first["engine_session_id"]
          # Gemini CLI 0.61 does not always find what it keeps of a session; then a fresh one begins.
          and (following["engine_session_id"] == first["engine_session_id"] or kind == "gemini-acp"), following)

    tool = skep.ask(session, worker["scripted"], "TOOL please")
    log = skep.text("/api/executions/%s/logs" % tool["id"])
    check(kind + ": a tool is called", tool["result"] == "I call a tool.\n\nThe tool answered."
          and log.count("from the tool") > log.count("echo from the tool"), log)
    # That one tries for minutes, and says nothing of it.
    word = "BAD" if kind == "claude-code-acp" else "DENY"
    refused = skep.ask(session, worker["scripted"], word + " please")
    check(kind + ": a refused key fails with what to do",
          # The protocol of agents has a word for that before a session only.
          refused["status"] == "failed" and ("not_signed_in" in refused["error"] or kind in AGENTS), refused)

    slow = skep.say(session, worker["scripted"], "SLOW please")["execution_id"]
    said = "/api/local/sessions/%s/messages" % session
    skep.wait(slow, lambda execution: execution["status"] == "running" and execution["pid"])
    time.sleep(4)
    check(kind + ": it runs", len(below(skep.process.pid)) >= 2, skep.execution(slow))
    skep.call("POST", "/api/executions/%s/cancel" % slow)
    begun = time.monotonic()
    stopped = skep.wait(slow, is_final)
    check(kind + ": stop ends it (%.1f s)" % (time.monotonic() - begun), stopped["status"] == "cancelled", stopped)
    while left(skep) and time.monotonic() - begun < 1:
        time.sleep(0.01)
    check(kind + ": nothing of it is left (%.1f s)" % (time.monotonic() - begun), not left(skep), left(skep))
    messages = skep.call("GET", said)
    check(kind + ": every turn has its reply", len(messages) == 10, [message["content"] for message in messages])


def kill_in_mid_reply(skep, kind):
    worker = next(w["id"] for w in skep.call("GET", "/api/workers") if w["name"] == kind + " scripted")
    session = skep.call("POST", "/api/local/sessions", {"name": "killed"})["id"]
    slow = skep.say(session, worker, "SLOW please")["execution_id"]
    skep.wait(slow, lambda execution: execution["pid"])
    time.sleep(4)
    tree = below(skep.process.pid)
    check(kind + ": it runs", len(tree) >= 2, sorted(tree))
    skep.process.send_signal(signal.SIGKILL)
    skep.process.wait()
    begun = time.monotonic()
    while any(lives(pid) for pid in tree):
        if time.monotonic() - begun > 5:
            raise SystemExit("%s outlived a killed server by 5 s" % [pid for pid in tree if lives(pid)])
        time.sleep(0.001)
    print("ok   %s: all gone %.3f s after the server was killed" % (kind, time.monotonic() - begun))
    return slow


def main():
    binary, engines, model_port, scripted_port = sys.argv[1:5]
    kinds = sys.argv[5:] or KINDS
    with tempfile.TemporaryDirectory() as home:
        text = settings(engines, home, model_port, scripted_port)
        skep = Skep(binary, home + "/data", text)
        try:
            for status in skep.call("GET", "/api/engines"):
                print("     ", status["name"], status["version"], "ready" if status["found"] else status["why_not"])
            for kind in kinds:
                chat(skep, kind)
            for kind in kinds:
                execution = kill_in_mid_reply(skep, kind)
                skep = Skep(binary, home + "/data", text)
                interrupted = skep.wait(execution, is_final)
                check(kind + ": shown as interrupted, with what it had said",
                      interrupted["status"] == "failed" and "interrupted" in interrupted["error"], interrupted)
        finally:
            skep.process.terminate()
            skep.process.wait(30)


if __name__ == "__main__":
    main()
