#!/usr/bin/env bash
# Shows that operations are wait-free. A hook before each access to shared memory counts the steps
# of an operation, in real threads and in all executions of loom models. It also stops a thread
# before each step, and all other threads must finish meanwhile.
#
# Then tries each fault of `faults/progress.toml` in a copy of the source. Arguments select faults.
set -euo pipefail
cd "$(dirname "$0")/.."

target=$(realpath -m "${CARGO_TARGET_DIR:-target}")/progress
mkdir -p "$target"

# ran LOG: how many tests passed there.
ran() { sed -n 's/^test result: ok. \([0-9]*\) passed.*/\1/p' "$1"; }

if [ $# -eq 0 ] || [ "$1" = --canary ]; then
    RUSTFLAGS="${RUSTFLAGS-} --cfg reorder_hooks" CARGO_TARGET_DIR=$target \
        cargo test -q -p reorder-ring --test progress >"$target/log" 2>&1 ||
        { cat "$target/log"; exit 1; }
    [ "$(ran "$target/log")" -gt 0 ] || { echo "progress: no test ran"; exit 1; }
    echo "progress: $(ran "$target/log") tests of real threads pass"

    RUSTFLAGS="${RUSTFLAGS-} --cfg reorder_hooks --cfg reorder_loom --cfg crossbeam_loom" \
        CARGO_TARGET_DIR=$target \
        cargo test -q --release -p loom-tests --test progress -- --nocapture >"$target/log" 2>&1 ||
        { cat "$target/log"; exit 1; }
    [ "$(ran "$target/log")" -gt 0 ] || { echo "progress: no model ran"; exit 1; }
    grep -oE '(loom|steps): .*' "$target/log"
fi

cargo xtask faults run progress "$@"
