"""The official MCP client (PyPI `mcp`, 1.x and 2.x) against a running Skep: lists the tools and calls some.

  python3 -m venv DIR && DIR/bin/pip install mcp            or 'mcp<2'
  DIR/bin/python tests/real/mcp_client.py URL API_KEY       the key needs the scope "admin"
"""

import asyncio
import sys

import mcp

url, key = sys.argv[1:3]
headers = {"Authorization": f"Bearer {key}"}


def field(value, *names):
    return next(getattr(value, name) for name in names if hasattr(value, name))


async def use(session):
    names = [tool.name for tool in (await session.list_tools()).tools]
    assert "send_message" in names and "list_workers" in names, names
    made = await session.call_tool("create_worker", {"name": "Mcp"})
    assert not field(made, "isError", "is_error"), made
    listed = await session.call_tool("list_workers", {})
    assert "Mcp" in listed.content[0].text, listed
    bad = await session.call_tool("get_worker", {"worker_id": "nobody"})
    assert field(bad, "isError", "is_error"), bad
    await session.call_tool("delete_worker", {"worker_id": "Mcp"})
    print(len(names), "tools")


async def main():
    if hasattr(mcp, "Client"):
        import httpx2
        from mcp.client.streamable_http import streamable_http_client

        for mode in ("auto", "legacy"):
            async with httpx2.AsyncClient(headers=headers) as http:
                transport = streamable_http_client(f"{url}/mcp", http_client=http)
                async with mcp.Client(transport, mode=mode) as client:
                    await use(client)
                    print(mode, client.protocol_version)
        return
    from mcp.client.streamable_http import streamablehttp_client

    async with streamablehttp_client(f"{url}/mcp", headers=headers) as (read, write, _):
        async with mcp.ClientSession(read, write) as session:
            hello = await session.initialize()
            await use(session)
            print(hello.protocolVersion)


asyncio.run(main())
print("ok")
