#!/usr/bin/env bash
# Tests owners and workers of `reorder-remote` in random runs, in virtual time, with an engine that
# fails and forgets. Measures the memory of a job with ten times as many items. Then tries each
# fault of three groups in a copy of the source. A unit test must notice those of
# `faults/remote.toml`. A test of `remote/tests/owners.rs` or `jobs.rs` must notice those of
# `remote_owners.toml` and `remote_jobs.toml`.
#
# REORDER_REMOTE_RUNS is the number of runs. Arguments select faults: `--canary` for one fault of
# `faults/remote.toml`, or the group and the names.
set -euo pipefail
cd "$(dirname "$0")/.."

target=$(realpath -m "${CARGO_TARGET_DIR:-target}")/remote
mkdir -p "$target"
runs=${REORDER_REMOTE_RUNS-100000}

if [ $# -eq 0 ] || [ "$1" = --canary ]; then
    # A hundred runs take a tenth of a second on an idle machine.
    if ! REORDER_REMOTE_RUNS=$runs RUST_BACKTRACE=0 CARGO_TARGET_DIR=$target \
        timeout $((600 + runs / 50)) cargo test -q --release -p reorder-remote --lib \
        >"$target/log" 2>&1; then
        tail -n 60 "$target/log"
        echo "remote: a test fails"
        exit 1
    fi
    echo "remote: $runs random runs deliver each item once and in order"

    items=$((runs * 10))
    if ! REORDER_REMOTE_ITEMS=$items CARGO_TARGET_DIR=$target cargo test -q --release \
        -p reorder-remote --test memory -- --nocapture >"$target/log" 2>&1; then
        tail -n 20 "$target/log"
        echo "remote: the memory grows with the number of items"
        exit 1
    fi
    sed -n 's/^9000 items/remote: memory: 9000 items/p' "$target/log"
fi

# The faults need fewer runs, whose number the tool sets.
unset REORDER_REMOTE_RUNS
if [ $# -gt 0 ] && [ "$1" != --canary ]; then
    cargo xtask faults run "$@"
    exit
fi
if [ $# -gt 0 ]; then
    # One fault shows that the tests can fail.
    cargo xtask faults run remote --canary
    exit
fi
for group in remote remote_owners remote_jobs; do
    cargo xtask faults run "$group"
done
