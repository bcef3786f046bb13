#!/usr/bin/env bash
# The full run: what tests/run.sh checks shortly, for as long as it takes to believe it. A step that fails does not keep
# the others from running; the summary at the end says which. Each step is a line below: `step NAME COMMAND…`. Text
# arguments choose the steps whose names hold one of them: `tests/full.sh soak kills`.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

logs=target/full
mkdir -p "$logs"
wanted=("$@")
summary=()
failed=0

is_wanted() {
    [ ${#wanted[@]} -eq 0 ] && return 0
    local word
    for word in "${wanted[@]}"; do [[ $1 == *"$word"* ]] && return 0; done
    return 1
}

step() {
    local name=$1 begun=$SECONDS outcome=ok
    shift
    is_wanted "$name" || return 0
    printf '\n== %s: %s\n' "$name" "$*"
    "$@" 2>&1 | tee "$logs/${name// /-}.log" || outcome=FAILED
    [ "$outcome" = ok ] || failed=1
    summary+=("$(printf '%-20s %-6s %6s s' "$name" "$outcome" "$((SECONDS - begun))")")
}

# one BINARY SETTING TEST: one test that ordinarily is short, with the setting that makes it long.
one() {
    env "$2" cargo test --release --locked --test "$1" -- --exact "$3" --nocapture | tee /dev/stderr | grep "1 passed" >/dev/null
}

step "everything" tests/run.sh
step "kills" one it SKEP_TEST_KILLS=1000 crash::what_was_acknowledged_survives_every_kill
step "stream kills" one it SKEP_TEST_STREAM_KILLS=30 history::readers_that_come_and_go_see_every_event_once_in_order
step "live copies" one it SKEP_TEST_COPY_MB=200 live_copies::copies_of_a_busy_hive_hold_what_was_acknowledged_before
step "large upload" one it SKEP_TEST_UPLOAD_MB=1024 memory::an_upload_goes_to_disk_as_it_comes
step "mechanisms" tests/proof/run.sh
step "fuzz" tests/fuzz/run.sh "${SKEP_FUZZ_SECONDS:-600}"
step "soak" one proof SKEP_SOAK_SECONDS="${SKEP_SOAK_SECONDS:-1200}" soak::a_mixed_load_leaves_the_server_as_it_was
step "figures" cargo bench --locked --bench figures -- --full
step "pocketbase" benches/pocketbase/run.sh target/full/pocketbase

printf '\n== Summary (logs in %s)\n' "$logs"
printf '%s\n' "${summary[@]}"
exit "$failed"
