#!/usr/bin/env python3
"""Lets every real command line and agent use Skep's tools, over a running Skep.

Usage: tools.py SKEP ENGINES SCRIPTED_PORT [KIND...]

SKEP is the binary, ENGINES the directory of the command lines. The scripted model asks each engine for `send_message`,
which it reaches over MCP with the token of its execution, confined as engines are: the message has to arrive in the chat,
in the worker's name and before its reply. Standard library only.
"""

import sys
import tempfile

from chat import KINDS, Skep, check, settings


def main():
    binary, engines, scripted_port = sys.argv[1:4]
    kinds = sys.argv[4:] or KINDS
    with tempfile.TemporaryDirectory() as home:
        skep = Skep(binary, home + "/data", settings(engines, home, "1", scripted_port))
        try:
            for kind in kinds:
                worker = skep.call("POST", "/api/workers", {"name": kind, "engine": kind + "-scripted"})["id"]
                session = skep.call("POST", "/api/local/sessions", {"name": kind})["id"]
                # The second turn goes on with the engine's session: its token is another one.
                for turn in (1, 2):
                    ended = skep.ask(session, worker, "SEND please")
                    check("%s: turn %d is answered" % (kind, turn), ended["status"] == "completed"
                          and ended["result"].endswith("It was sent."), ended)
                    messages = skep.call("GET", "/api/local/sessions/%s/messages" % session)
                    said = [(message["content"], message["author"]["name"]) for message in messages[-2:]]
                    check("%s: its message is in the chat before its reply" % kind,
                          said[0] == ("A word from the worker.", kind) and said[1][0] == ended["result"], messages)
        finally:
            skep.process.terminate()
            skep.process.wait(30)


if __name__ == "__main__":
    main()
