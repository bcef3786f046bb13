#!/usr/bin/env bash
# run.sh [SECONDS]: fuzzes every target for so long (60), all side by side, with new inputs kept below `target/fuzz`.
# Saves what breaks a target in `crashes/<target>`, where the ordinary tests run it from then on, and then fails.
# Needs a C++ compiler for libFuzzer, and nothing but stable Rust: the coverage it steers by is LLVM's own pass.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
root="$(cd "$here/../.." && pwd)"
seconds="${1:-60}"
work="$root/target/fuzz"
host="$(rustc -vV | sed -n 's/^host: //p')"
binary="$work/$host/release/skep-fuzz"

command -v c++ >/dev/null || {
    echo "A C++ compiler is missing, e.g. apt-get install g++" >&2
    exit 1
}
# The versions that ship, and libFuzzer, which Cargo.toml pins.
cp "$root/Cargo.lock" "$here/Cargo.lock"
# `--target` keeps the flags away from build scripts. Overflows and broken assertions are findings too.
RUSTFLAGS="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1 -Cdebug-assertions -Coverflow-checks" \
    cargo build --quiet --release --manifest-path "$here/Cargo.toml" --target "$host" --target-dir "$work"

# Every target has seeds; the ordinary tests see to that.
names="$(ls "$here/corpus")"
declare -A running
for name in $names; do
    mkdir -p "$work/corpus/$name" "$here/crashes/$name"
    SKEP_FUZZ_TARGET="$name" "$binary" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=2048 -max_len=16384 \
        -print_final_stats=1 -artifact_prefix="$here/crashes/$name/" \
        "$work/corpus/$name" "$here/corpus/$name" >"$work/$name.log" 2>&1 &
    running[$name]=$!
done
failed=0
printf '%-12s %12s %10s %8s  %s\n' target runs covered rss outcome
for name in $names; do
    outcome=ok
    wait "${running[$name]}" || { outcome="FAILED, see $work/$name.log" failed=1; }
    runs="$(sed -n 's/^stat::number_of_executed_units: *//p' "$work/$name.log" | tail -1)"
    rss="$(sed -n 's/^stat::peak_rss_mb: *//p' "$work/$name.log" | tail -1)"
    covered="$(grep -ao "cov: [0-9]*" "$work/$name.log" | tail -1 | cut -c6- || true)"
    printf '%-12s %12s %10s %5s MB  %s\n' "$name" "${runs:-?}" "${covered:-?}" "${rss:-?}" "$outcome"
    rmdir "$here/crashes/$name" 2>/dev/null || true
done
exit $failed
