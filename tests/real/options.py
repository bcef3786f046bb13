#!/usr/bin/env python3
"""Gives workers MCP servers of their own, and has every real engine call them; then changes what they remember.

Usage: options.py SKEP ENGINES SCRIPTED_PORT REQUESTS [KIND...]

REQUESTS is the file that the scripted model writes its requests to. One server is a program with a variable, the other is
at an address and wants a token, which is a key in the data directory: the token arrives, and is in no answer and in no
log. What is remembered while a session is open is in the model's next request of the same session. Standard library only.
"""

import json
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile

from chat import KINDS, Skep, check, settings

TOKEN = "a-token-that-nobody-shows"


def free_port():
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return bound.getsockname()[1]


def tools(skep, kind, port, noted):
    worker = skep.call("POST", "/api/workers", {
        "name": kind, "engine": kind + "-scripted", "permissions": "allow_all"})
    work_dir = pathlib.Path(worker["work_dir"])
    # A confined program reads what is in the work directory.
    work_dir.mkdir(exist_ok=True)
    shutil.copy(pathlib.Path(__file__).with_name("mcp_server.py"), work_dir)
    near = work_dir / "near.txt"
    argv = [shutil.which("python3", path="/usr/bin:/usr/local/bin"), str(work_dir / "mcp_server.py"), "near", str(near)]
    options = "/api/workers/%s/engine" % worker["id"]
    skep.call("PUT", options, {"secrets": {"PROBE": "probe"}, "mcp_servers": {
        "near": {"argv": argv, "env": {"MODE": "fast"}},
        "far": {"url": "http://127.0.0.1:%d/mcp" % port, "key": "probe"}}})
    session = skep.call("POST", "/api/local/sessions", {"name": kind})["id"]
    shown = json.dumps(skep.call("GET", options))
    for word in ("NEAR", "FAR"):
        ended = skep.ask(session, worker["id"], word + " please")
        shown += json.dumps(ended) + skep.text("/api/executions/%s/logs" % ended["id"])
        check("%s: %s is answered" % (kind, word), ended["status"] == "completed"
              and (ended["result"] or "").endswith("It was noted."), ended)
    check(kind + ": its program was called, with its variable", near.exists()
          and near.read_text().split() == ["noted", "fast", "None"], near.exists() and near.read_text())
    called = noted.read_text().split() if noted.exists() else []
    check(kind + ": its server at an address was called, with the token", called == ["noted", "None", "Bearer", TOKEN], called)
    check(kind + ": the token is in no answer and no log", TOKEN not in shown, shown)
    noted.unlink()


def memory(skep, kind, requests):
    worker = skep.call("POST", "/api/workers", {
        "name": "Mindful " + kind, "engine": kind + "-scripted", "memory": "The password is heather."})["id"]
    session = skep.call("POST", "/api/local/sessions", {"name": kind})["id"]
    first = skep.ask(session, worker, "Hello.")
    for what, change, word in (
        ("its own memory", ("PUT", "/api/workers/" + worker, {"memory": "The password is juniper."}), "juniper"),
        ("a memory of everybody", ("PUT", "/api/memory/global/%s" % kind, {"value": "The tea is gorse."}), "gorse"),
    ):
        skep.call(*change)
        before = requests.stat().st_size
        ended = skep.ask(session, worker, "Hello again.")
        with open(requests) as asked:
            asked.seek(before)
            said = [line for line in asked if "Hello again." in line]
        check("%s: %s that changed reaches the open session" % (kind, what), ended["status"] == "completed"
              and (ended["engine_session_id"] == first["engine_session_id"] or kind == "gemini-acp")
              and said and all(word in line for line in said), said)


def main():
    binary, engines, scripted_port, requests, *kinds = sys.argv[1:]
    with tempfile.TemporaryDirectory() as home:
        noted = pathlib.Path(home, "far.txt")
        port = free_port()
        script = pathlib.Path(__file__).with_name("mcp_server.py")
        far = subprocess.Popen([sys.executable, str(script), "far", str(noted), str(port)])
        skep = Skep(binary, home + "/data", settings(engines, home, "1", scripted_port))
        key = pathlib.Path(home, "data/keys/probe")
        key.write_text(TOKEN)
        key.chmod(0o600)
        try:
            for kind in kinds or KINDS:
                tools(skep, kind, port, noted)
                memory(skep, kind, pathlib.Path(requests))
        finally:
            skep.process.terminate()
            skep.process.wait(30)
            far.kill()


if __name__ == "__main__":
    main()
