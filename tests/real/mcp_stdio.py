"""The official MCP client (PyPI `mcp`, 1.x and 2.x) over `skep mcp`: lists the tools and calls some.

  DIR/bin/python tests/real/mcp_stdio.py SKEP DATA          DATA is the data directory of a running server
"""

import asyncio
import sys

import mcp
from mcp.client.stdio import stdio_client

skep, data = sys.argv[1:3]


def field(value, *names):
    return next(getattr(value, name) for name in names if hasattr(value, name))


async def use(session):
    names = [tool.name for tool in (await session.list_tools()).tools]
    assert "send_message" in names and "ask_worker" in names, names
    made = await session.call_tool("create_worker", {"name": "Stdio", "engine": "builtin"})
    assert not field(made, "isError", "is_error"), made
    answer = await session.call_tool("ask_worker", {"worker_id": "Stdio", "question": "help"})
    assert not field(answer, "isError", "is_error") and answer.content[0].text, answer
    bad = await session.call_tool("get_worker", {"worker_id": "nobody"})
    assert field(bad, "isError", "is_error"), bad
    await session.call_tool("delete_worker", {"worker_id": "Stdio"})
    print(len(names), "tools; asked, and answered:", answer.content[0].text.splitlines()[0])


async def main():
    server = mcp.StdioServerParameters(command=skep, args=["mcp", "--data", data])
    if hasattr(mcp, "Client"):
        for mode in ("auto", "legacy"):
            async with mcp.Client(stdio_client(server), mode=mode) as client:
                await use(client)
                print(mode, client.protocol_version)
        return
    async with stdio_client(server) as (read, write):
        async with mcp.ClientSession(read, write) as session:
            hello = await session.initialize()
            await use(session)
            print(hello.protocolVersion)


asyncio.run(main())
print("ok")
