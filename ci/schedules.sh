#!/usr/bin/env bash
# Tests the executor under random schedules (shuttle). Then tries each fault of
# `faults/schedules.toml` in a copy of the source. Some test must fail there by a deadlock.
#
# REORDER_SCHEDULES is the number of schedules that each test gets from either scheduler. Arguments
# select faults.
set -euo pipefail
cd "$(dirname "$0")/.."

target=$(realpath -m "${CARGO_TARGET_DIR:-target}")/schedules
mkdir -p "$target"
export REORDER_SCHEDULES=${REORDER_SCHEDULES-3000}

if [ $# -eq 0 ] || [ "$1" = --canary ]; then
    # The tests also print panics that they catch, with the schedule. Only a failure is of interest.
    if ! RUSTFLAGS="${RUSTFLAGS-} --cfg reorder_shuttle" RUST_BACKTRACE=0 CARGO_TARGET_DIR=$target \
        timeout 600 cargo test -q --release -p loom-tests --test schedules \
        >"$target/log" 2>&1; then
        tail -n 200 "$target/log"
        echo "schedules: a test fails"
        exit 1
    fi
    passed=$(sed -n 's/^test result: ok. \([0-9]*\) passed.*/\1/p' "$target/log")
    if [ "${passed:-0}" -eq 0 ]; then
        echo "schedules: no test ran"
        exit 1
    fi
    echo "schedules: $passed tests pass," \
        "each with $REORDER_SCHEDULES random schedules and as many by PCT"
fi

cargo xtask faults run schedules "$@"
