#!/usr/bin/env python3
"""A small MCP server with one tool, which notes down what it is called with.

  mcp_server.py NAME FILE [PORT]      over standard input and output, or over HTTP at a port; the tool is note_NAME

Each call appends a line to FILE: the text, the variable MODE, and the token that the caller showed. Standard library only.
"""

import json
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

NAME, FILE = sys.argv[1:3]


def answer(message, token):
    """The answer to a message; `None` for a notification."""
    method, params = message.get("method"), message.get("params") or {}
    if "id" not in message:
        return None
    result = {}
    if method == "initialize":
        result = {"protocolVersion": params.get("protocolVersion"), "capabilities": {"tools": {}},
                  "serverInfo": {"name": NAME, "version": "1"}}
    elif method == "tools/list":
        result = {"tools": [{"name": "note_" + NAME, "description": "Notes a text down.", "inputSchema": {
            "type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}}]}
    elif method == "tools/call":
        with open(FILE, "a") as notes:
            print(params["arguments"]["text"], os.environ.get("MODE"), token, file=notes)
        result = {"content": [{"type": "text", "text": "noted"}]}
    return {"jsonrpc": "2.0", "id": message["id"], "result": result}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        said = answer(body, self.headers.get("authorization"))
        data = json.dumps(said).encode() if said else b""
        self.send_response(200 if said else 202)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        self.send_response(405)
        self.send_header("content-length", "0")
        self.end_headers()


def main():
    if len(sys.argv) > 3:
        ThreadingHTTPServer(("127.0.0.1", int(sys.argv[3])), Handler).serve_forever()
    for line in sys.stdin:
        said = answer(json.loads(line), None)
        if said:
            print(json.dumps(said), flush=True)


main()
