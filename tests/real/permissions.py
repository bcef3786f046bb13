#!/usr/bin/env python3
"""Lets real engines ask for permission through a running Skep, and checks that the others do not act without.

Usage: permissions.py SKEP ENGINES SCRIPTED_PORT [PLAYWRIGHT [KIND...]]

The scripted model wants to write a file with the engine's shell. Claude Code and the agents over ACP have to ask, which
becomes a permission request of the execution: denied, allowed, and allowed for always. With PLAYWRIGHT, the directory of
playwright-core, the answers are given in a real Chromium by the keys of the console, else over the API. Codex and OpenCode
cannot ask as command lines: in mode `ask` they must not write. Standard library only.
"""

import json
import pathlib
import subprocess
import sys
import tempfile
import time

from chat import AGENTS, PATIENCE_S, Skep, check, settings

KEYS = {"allow": "1", "allow_always": "2", "deny": "3"}


def asked(skep, execution, known):
    """The request that an execution waits for; `None` if it ends without one."""
    begun = time.monotonic()
    while time.monotonic() - begun < PATIENCE_S:
        waiting = [it for it in skep.call("GET", "/api/executions/%s/permissions" % execution) if it["decision"] is None]
        if waiting:
            return waiting[0]
        if skep.execution(execution)["completed_at"]:
            return None
        time.sleep(0.1)
    raise SystemExit("%s: neither asked nor ended" % known)


class Console:
    """A person at the console, in a browser."""

    def __init__(self, link, playwright):
        script = pathlib.Path(__file__).with_name("console.mjs")
        self.process = subprocess.Popen(["node", str(script), link, playwright], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.process.stdout.readline()

    def answer(self, session, decision):
        print(session, KEYS[decision], file=self.process.stdin, flush=True)
        return json.loads(self.process.stdout.readline() or "{}")

    def close(self):
        self.process.stdin.close()
        self.process.wait(30)


def ask_and_answer(skep, console, kind):
    asks = kind == "claude" or kind in AGENTS
    worker = skep.call("POST", "/api/workers", {"name": kind, "engine": kind + "-scripted", "permissions": "ask"})
    written = pathlib.Path(worker["work_dir"], "written.txt")
    session = skep.call("POST", "/api/local/sessions", {"name": kind})["id"]
    for decision in ("deny", "allow", "allow_always", None):
        execution = skep.say(session, worker["id"], "WRITE please")["execution_id"]
        request = asked(skep, execution, kind)
        what = "%s: %s" % (kind, decision or "not asked again")
        check(what, (request is not None) == (asks and decision is not None), request)
        if request:
            check("%s names the command" % what, "written.txt" in json.dumps(request), request)
        if request and console and kind in AGENTS:
            shown = console.answer(session, decision)
            check("%s by a key in the console" % what,
                  shown.get("state") == decision and "written.txt" in shown["said"], shown)
        elif request:
            skep.call("POST", "/api/executions/%s/permissions/%s" % (execution, request["request_id"]),
                      {"decision": decision})
        ended = skep.wait(execution, lambda it: it["completed_at"])
        # Some agents end their turn where they were refused.
        check("%s ends" % what, ended["status"] == "completed" or decision == "deny" and kind in AGENTS, ended)
        is_written = asks and decision != "deny"
        check("%s is what counts" % what, written.exists() == is_written, ended)
        written.unlink(missing_ok=True)


def main():
    binary, engines, scripted_port, *more = sys.argv[1:]
    playwright, *kinds = more or [None]
    with tempfile.TemporaryDirectory() as home:
        skep = Skep(binary, home + "/data", settings(engines, home, "1", scripted_port))
        console = None
        try:
            console = Console(skep.link, playwright) if playwright else None
            for kind in kinds or ["claude", "codex", "opencode", *AGENTS]:
                ask_and_answer(skep, console, kind)
        finally:
            if console:
                console.close()
            skep.process.terminate()
            skep.process.wait(30)


if __name__ == "__main__":
    main()
