#!/usr/bin/env python3
"""A model server that does what the last user message says.

Speaks Anthropic's Messages, OpenAI's Chat Completions, OpenAI's Responses and Gemini's generateContent, streaming or not,
with the standard library alone. For what a small real model does not do on demand. The first of these words in the message decides:

  TOOL    one call of the engine's shell tool (`echo from the tool`), then text
  SEND    one call of Skep's tool `send_message` over MCP, then text
  NEAR    one call of the tool `note_near` of another MCP server, then text; FAR the same with `note_far`
  WRITE   one call of the shell tool that writes a file, which needs a permission in some modes
  THINK   thinking, then text
  SLOW    a tool call as TOOL, then a word every 0.3 s, for a minute
  FAIL    HTTP 500
  DENY    HTTP 401
  BAD     HTTP 400
  (none)  text

Usage: scripted_model.py PORT [FILE]; request bodies are appended to FILE, one a line.
"""

import itertools
import json
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SHELL_TOOLS = ("Bash", "bash", "exec_command", "shell", "shell_command", "local_shell", "run_shell_command")
TEXT = ["Hello", " from", " the", " scripted", " model", ":", " añ", "€", "🐝", "."]
THOUGHT = ["Let me", " think", " about", " it."]
USAGE_IN, USAGE_OUT = 1234, 56
# Claude Code takes messages of the same id for parts of one.
NUMBERS = itertools.count(1)


def shell_call(tools, command):
    """The name and arguments of the engine's own shell tool."""
    for tool in tools:
        name = tool.get("name") or tool.get("function", {}).get("name")
        if name in SHELL_TOOLS:
            schema = tool.get("input_schema") or tool.get("parameters") or tool.get("function", {}).get("parameters", {})
            properties = schema.get("properties", {})
            args = {}
            if "cmd" in properties:
                args["cmd"] = command
            elif properties.get("command", {}).get("type") == "array":
                args["command"] = ["/bin/sh", "-c", command]
            else:
                args["command"] = command
            if "description" in properties:
                args["description"] = "Says where it comes from"
            return name, args
    return None


def mcp_call(tools, wanted, arguments):
    """The name and arguments of a tool of Skep's, whatever the engine calls it; some keep a server's tools together."""
    for tool in tools:
        name = tool.get("name") or tool.get("function", {}).get("name") or ""
        for inner in tool.get("tools") or []:
            if inner.get("name", "").endswith(wanted):
                return inner["name"], arguments, name
        if name.endswith(wanted):
            return name, arguments
    return None


def flat(content):
    if isinstance(content, str):
        return content
    return " ".join(part.get("text", "") for part in content if isinstance(part, dict))


def plan(messages, tools):
    """What to say: ('fail', status) or (thoughts, words, call, delay)."""
    asked = [m for m in messages if m.get("role") == "user" and not is_result(m)]
    last = flat(asked[-1]["content"]) if asked else ""
    # The same may have been asked before.
    at = next((n for n in range(len(messages) - 1, -1, -1) if asked and messages[n] is asked[-1]), len(messages))
    after = messages[at + 1:]
    answered = any(is_result(m) for m in after)
    for word, status in (("FAIL", 500), ("DENY", 401), ("BAD", 400)):
        if word in last:
            return "fail", status
    if "SLOW" in last and answered:
        return [], ["word%d " % n for n in range(200)], None, 0.3
    if "THINK" in last:
        return THOUGHT, TEXT, None, 0.01
    if "SEND" in last and not answered:
        return [], ["I send", " a message."], mcp_call(tools, "send_message", {"content": "A word from the worker."}), 0.01
    if "SEND" in last:
        return [], ["It was sent."], None, 0.01
    for word in ("NEAR", "FAR"):
        if word in last and not answered:
            return [], ["I note", " it."], mcp_call(tools, "note_" + word.lower(), {"text": "noted"}), 0.01
        if word in last:
            return [], ["It was noted."], None, 0.01
    for word, command in (("TOOL", "echo from the tool"), ("SLOW", "echo from the tool"), ("WRITE", "echo written > written.txt && echo wrote")):
        if word in last and not answered:
            return [], ["I call", " a tool."], shell_call(tools, command), 0.01
        if word in last:
            return [], ["The tool", " answered."], None, 0.01
    return [], TEXT, None, 0.01


def is_result(message):
    if message.get("role") == "tool" or message.get("type", "").endswith("_call_output"):
        return True
    content = message.get("content")
    return isinstance(content, list) and any(
        isinstance(part, dict) and part.get("type") == "tool_result" for part in content)


def gemini_messages(body):
    """Gemini's contents as messages; the answer of a tool is one of the user's."""
    messages = []
    for content in body["contents"]:
        parts = [{"type": "tool_result"} if "functionResponse" in part else {"type": "text", "text": part.get("text", "")}
                 for part in content.get("parts", [])]
        messages.append({"role": "assistant" if content.get("role") == "model" else "user", "content": parts})
    return messages


def gemini_tools(body):
    tools = [tool for tools in body.get("tools") or [] for tool in tools.get("functionDeclarations", [])]
    return [dict(tool, parameters=tool.get("parametersJsonSchema") or tool.get("parameters") or {}) for tool in tools]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.answer(200, {})

    def do_GET(self):
        self.answer(200, {"object": "list", "data": [{"id": "scripted", "object": "model"}], "models": []})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers.get("content-length", 0))) or b"{}")
        if len(sys.argv) > 2:
            with open(sys.argv[2], "a") as requests:
                requests.write(json.dumps(body) + "\n")
        path = self.path.split("?")[0]
        if path.endswith("/count_tokens"):
            return self.answer(200, {"input_tokens": USAGE_IN})
        if path.endswith(":countTokens"):
            return self.answer(200, {"totalTokens": USAGE_IN})
        messages = body.get("messages") or body.get("input") or []
        if "contents" in body:
            messages, body["tools"] = gemini_messages(body), gemini_tools(body)
        if isinstance(messages, str):
            messages = [{"role": "user", "content": messages}]
        thoughts, words, call, delay = (plan(messages, body.get("tools") or []) + (None, None))[:4]
        if thoughts == "fail":
            kind = {500: "api_error", 401: "authentication_error", 400: "invalid_request_error"}[words]
            return self.answer(words, {"type": "error", "error": {
                "type": kind, "message": "scripted failure %d" % words, "code": words if "contents" in body else kind}})
        speak = {"/v1/messages": self.speak_messages, "/v1/chat/completions": self.speak_chat, "/v1/responses": self.speak_responses}
        if "contents" in body:
            speak[path] = self.speak_gemini
            body["stream"] = path.endswith(":streamGenerateContent")
        if path not in speak:
            return self.answer(404, {"error": {"message": "no such path"}})
        if body.get("stream"):
            self.send_response(200)
            self.send_header("content-type", "text/event-stream")
            self.send_header("connection", "close")
            self.end_headers()
            self.close_connection = True
        try:
            speak[path](body, thoughts, words, call, delay)
        except (BrokenPipeError, ConnectionResetError):
            pass

    def answer(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def event(self, body, named=True):
        name = "event: %s\n" % body["type"] if named else ""
        self.wfile.write(("%sdata: %s\n\n" % (name, json.dumps(body))).encode())
        self.wfile.flush()

    # Anthropic Messages

    def speak_messages(self, body, thoughts, words, call, delay):
        blocks = []
        if thoughts and body.get("thinking"):
            blocks.append(({"type": "thinking", "thinking": "", "signature": ""},
                           [{"type": "thinking_delta", "thinking": t} for t in thoughts]
                           + [{"type": "signature_delta", "signature": "c2ln"}]))
        blocks.append(({"type": "text", "text": ""}, [{"type": "text_delta", "text": w} for w in words]))
        if call:
            name, args = call[:2]
            blocks.append(({"type": "tool_use", "id": "toolu_scripted%d" % next(NUMBERS), "name": name, "input": {}},
                           [{"type": "input_json_delta", "partial_json": json.dumps(args)}]))
        stop = "tool_use" if call else "end_turn"
        usage = {"input_tokens": USAGE_IN, "output_tokens": USAGE_OUT}
        message = {"id": "msg_scripted%d" % next(NUMBERS), "type": "message", "role": "assistant", "model": body.get("model", "scripted"),
                   "content": [], "stop_reason": None, "stop_sequence": None, "usage": dict(usage, output_tokens=1)}
        if not body.get("stream"):
            content = [{"type": "text", "text": "".join(words)}]
            return self.answer(200, dict(message, content=content, stop_reason=stop, usage=usage))
        self.event({"type": "message_start", "message": message})
        for index, (start, deltas) in enumerate(blocks):
            self.event({"type": "content_block_start", "index": index, "content_block": start})
            for delta in deltas:
                self.event({"type": "content_block_delta", "index": index, "delta": delta})
                time.sleep(delay)
            self.event({"type": "content_block_stop", "index": index})
        self.event({"type": "message_delta", "delta": {"stop_reason": stop, "stop_sequence": None}, "usage": usage})
        self.event({"type": "message_stop"})

    # OpenAI Chat Completions

    def speak_chat(self, body, thoughts, words, call, delay):
        head = {"id": "chatcmpl-scripted", "object": "chat.completion.chunk", "created": 1, "model": "scripted"}
        usage = {"prompt_tokens": USAGE_IN, "completion_tokens": USAGE_OUT, "total_tokens": USAGE_IN + USAGE_OUT}
        finish = "tool_calls" if call else "stop"
        if not body.get("stream"):
            message = {"role": "assistant", "content": "".join(words)}
            return self.answer(200, dict(head, object="chat.completion", usage=usage, choices=[
                {"index": 0, "message": message, "finish_reason": "stop"}]))

        def chunk(delta, reason=None):
            self.event(dict(head, choices=[{"index": 0, "delta": delta, "finish_reason": reason}], type=None), False)

        chunk({"role": "assistant", "content": ""})
        for thought in thoughts:
            chunk({"reasoning_content": thought})
        for word in words:
            chunk({"content": word})
            time.sleep(delay)
        if call:
            name, args = call[:2]
            chunk({"tool_calls": [{"index": 0, "id": "call_scripted%d" % next(NUMBERS), "type": "function",
                                   "function": {"name": name, "arguments": json.dumps(args)}}]})
        chunk({}, finish)
        self.event(dict(head, choices=[], usage=usage, type=None), False)
        self.wfile.write(b"data: [DONE]\n\n")

    # OpenAI Responses

    def speak_responses(self, body, thoughts, words, call, delay):
        response = {"id": "resp_scripted", "object": "response", "status": "in_progress", "model": "scripted", "output": []}
        usage = {"input_tokens": USAGE_IN, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": USAGE_OUT,
                 "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": USAGE_IN + USAGE_OUT}
        text = {"type": "output_text", "text": "".join(words), "annotations": []}
        item = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [text]}
        if not body.get("stream"):
            return self.answer(200, dict(response, status="completed", output=[item], usage=usage))
        self.event({"type": "response.created", "response": response})
        output = []
        if thoughts:
            reasoning = {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "".join(thoughts)}]}
            self.event({"type": "response.output_item.added", "output_index": 0, "item": dict(reasoning, summary=[])})
            for thought in thoughts:
                self.event({"type": "response.reasoning_summary_text.delta", "item_id": "rs_1", "output_index": 0,
                            "summary_index": 0, "delta": thought})
            self.event({"type": "response.output_item.done", "output_index": 0, "item": reasoning})
            output.append(reasoning)
        at = len(output)
        self.event({"type": "response.output_item.added", "output_index": at,
                    "item": dict(item, status="in_progress", content=[])})
        for word in words:
            self.event({"type": "response.output_text.delta", "item_id": "msg_1", "output_index": at,
                        "content_index": 0, "delta": word})
            time.sleep(delay)
        self.event({"type": "response.output_item.done", "output_index": at, "item": item})
        output.append(item)
        if call:
            name, args = call[:2]
            function = {"type": "function_call", "id": "fc_1", "call_id": "call_scripted%d" % next(NUMBERS), "name": name,
                        "arguments": json.dumps(args), "status": "completed"}
            if len(call) > 2:
                function["namespace"] = call[2]
            self.event({"type": "response.output_item.added", "output_index": at + 1, "item": function})
            self.event({"type": "response.output_item.done", "output_index": at + 1, "item": function})
            output.append(function)
        self.event({"type": "response.completed",
                    "response": dict(response, status="completed", output=output, usage=usage)})


    # Gemini generateContent

    def speak_gemini(self, body, thoughts, words, call, delay):
        usage = {"promptTokenCount": USAGE_IN, "candidatesTokenCount": USAGE_OUT, "totalTokenCount": USAGE_IN + USAGE_OUT}

        def reply(parts, end=None):
            candidate = {"index": 0, "content": {"role": "model", "parts": parts}}
            if end:
                candidate["finishReason"] = end
            return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "scripted"}

        parts = [{"text": thought, "thought": True} for thought in thoughts] + [{"text": word} for word in words]
        if call:
            name, args = call
            parts.append({"functionCall": {"name": name, "args": args}})
        if not body.get("stream"):
            return self.answer(200, reply(parts, "STOP"))
        for part in parts:
            self.event(dict(reply([part]), type=None), False)
            time.sleep(delay)
        self.event(dict(reply([{"text": ""}], "STOP"), type=None), False)


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
    server.daemon_threads = True
    print("listening", flush=True)
    server.serve_forever()
