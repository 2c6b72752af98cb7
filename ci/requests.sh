#!/usr/bin/env bash
# Compares the dispatcher and the limiter of `reorder-requests` with references that look at every
# millisecond, in random runs in virtual time. Then tries each fault of `faults/requests.toml` in a
# copy of the source. Some unit test must fail there.
#
# REORDER_RANDOM_RUNS is the number of runs. Arguments select faults.
set -euo pipefail
cd "$(dirname "$0")/.."

target=$(realpath -m "${CARGO_TARGET_DIR:-target}")/requests
mkdir -p "$target"
runs=${REORDER_RANDOM_RUNS-100000}

if [ $# -eq 0 ] || [ "$1" = --canary ]; then
    # A thousand runs take a tenth of a second on an idle machine.
    if ! REORDER_RANDOM_RUNS=$runs RUST_BACKTRACE=0 CARGO_TARGET_DIR=$target \
        timeout $((600 + runs / 100)) cargo test -q --release -p reorder-requests --lib \
        >"$target/log" 2>&1; then
        tail -n 60 "$target/log"
        echo "requests: a test fails"
        exit 1
    fi
    if ! grep -q 'test result: ok. [1-9]' "$target/log"; then
        echo "requests: no test ran"
        exit 1
    fi
    echo "requests: $runs random runs of each kind equal their references"
fi

# The faults need fewer runs, whose number the tool sets.
unset REORDER_RANDOM_RUNS
cargo xtask faults run requests "$@"
