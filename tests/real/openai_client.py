"""The official OpenAI client against a running Skep: models, whole answers, streams, and the errors it raises.

  python3 -m venv DIR && DIR/bin/pip install openai
  DIR/bin/python tests/real/openai_client.py URL API_KEY      the key needs the scope "chat"
"""

import sys

import openai

url, key = sys.argv[1:3]
client = openai.OpenAI(base_url=f"{url}/v1", api_key=key)

models = [model.id for model in client.models.list()]
assert "bee" in models, models
assert client.models.retrieve("bee").id == "bee"
print("models", models)

question = [{"role": "user", "content": "What can you do?"}]
for model in models:
    whole = client.chat.completions.create(model=model, messages=question)
    assert whole.choices[0].message.content and whole.usage is not None, whole
    print(model, "whole", len(whole.choices[0].message.content), whole.usage.total_tokens)

    pieces, usage = [], None
    stream = client.chat.completions.create(
        model=model, messages=question, stream=True, stream_options={"include_usage": True}
    )
    for chunk in stream:
        usage = chunk.usage or usage
        pieces += [choice.delta.content or "" for choice in chunk.choices]
    assert "".join(pieces).strip() and usage is not None
    print(model, "stream", len(pieces), "chunks", usage.total_tokens)

    more = client.chat.completions.create(
        model=model, messages=question, metadata={"session_id": whole.session_id}
    )
    assert more.session_id == whole.session_id

try:
    client.chat.completions.create(model="nobody", messages=question)
    raise SystemExit("an unknown model was answered")
except openai.NotFoundError as error:
    assert error.code == "not_found", error.body
try:
    openai.OpenAI(base_url=f"{url}/v1", api_key="wrong").models.list()
    raise SystemExit("a wrong key was taken")
except openai.AuthenticationError as error:
    assert error.code == "invalid_token", error.body
print("ok")
