#!/usr/bin/env python3
"""Lets a real Claude Code ask for permission through a running Skep, and checks that the others do not act without.

Usage: permissions.py SKEP ENGINES SCRIPTED_PORT

The scripted model wants to write a file with the engine's shell. Claude Code has to ask, which becomes a permission request
of the execution: denied, allowed, and allowed for always. Codex and OpenCode cannot ask: in mode `ask` they must not write.
Standard library only.
"""

import pathlib
import sys
import tempfile
import time

from chat import PATIENCE_S, Skep, check, settings


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


def main():
    binary, engines, scripted_port = sys.argv[1:4]
    with tempfile.TemporaryDirectory() as home:
        skep = Skep(binary, home + "/data", settings(engines, home, "1", scripted_port))
        try:
            for kind in ("claude", "codex", "opencode"):
                worker = skep.call("POST", "/api/workers", {
                    "name": kind, "engine": kind + "-scripted", "permissions": "ask"})
                written = pathlib.Path(worker["work_dir"], "written.txt")
                session = skep.call("POST", "/api/local/sessions", {"name": kind})["id"]
                for decision in ("deny", "allow", "allow_always", None):
                    execution = skep.say(session, worker["id"], "WRITE please")["execution_id"]
                    request = asked(skep, execution, kind)
                    what = "%s: %s" % (kind, decision or "not asked again")
                    check(what, (request is not None) == (kind == "claude" and decision is not None), request)
                    if request:
                        check("%s names the command" % what, "written.txt" in str(request["args"]), request)
                        skep.call("POST", "/api/executions/%s/permissions/%s" % (execution, request["request_id"]),
                                  {"decision": decision})
                    ended = skep.wait(execution, lambda it: it["completed_at"])
                    check("%s ends" % what, ended["status"] == "completed", ended)
                    is_written = kind == "claude" and decision != "deny"
                    check("%s is what counts" % what, written.exists() == is_written, ended)
                    written.unlink(missing_ok=True)
        finally:
            skep.process.terminate()
            skep.process.wait(30)


if __name__ == "__main__":
    main()
