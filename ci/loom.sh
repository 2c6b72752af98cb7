#!/usr/bin/env bash
# Explores the models of `loom-tests`. Then tries each fault of `faults/models.toml` in a copy of
# the source. The model that the entry names must fail there.
#
# `ci/orderings.sh` covers orderings that are too weak.
#
# LOOM_MAX_PREEMPTIONS replaces the bounds of the models, for a deeper search or a quicker one.
# LOOM_MAX_PERMUTATIONS limits the executions of each model. The faults are tried without either.
# `ci/loom.sh --canary` tries a few faults only. Other arguments select faults and skip the models:
# `ci/loom.sh visitors_not_waited_for`.
set -euo pipefail
cd "$(dirname "$0")/.."

target=$(realpath -m "${CARGO_TARGET_DIR:-target}")/loom
mkdir -p "$target"

# models ARGUMENT...: builds and runs the models.
models() {
    RUSTFLAGS="${RUSTFLAGS-} --cfg reorder_loom --cfg crossbeam_loom" CARGO_TARGET_DIR=$target \
        cargo test --release -p loom-tests --test models -- "$@"
}

if [ $# -eq 0 ] || [ "$1" = --canary ]; then
    models --nocapture --test-threads 2 | tee "$target/log"
    completed=$(sed -n 's/^loom: .*: \([0-9]*\) executions.*/\1/p' "$target/log" | wc -l)
    listed=$(models --list | grep -c ': test$')
    if [ "$completed" -eq 0 ] || [ "$completed" -ne "$listed" ]; then
        echo "loom: $listed models, of which $completed say how many executions they completed"
        exit 1
    fi
    echo "loom: $completed models pass"
fi

cargo xtask faults run models "$@"
