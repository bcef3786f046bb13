#!/usr/bin/env bash
# Takes the mechanisms behind the promises away, one by one, in a copy of this tree, and demands that a test turns red for
# each. The table is mechanisms.toml. SKEP_PROOF_ONLY='sync|copy' does those that say so.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
exec cargo test --locked --test proof -- --ignored --nocapture --exact mechanisms::no_mechanism_is_gone_unseen
