#!/usr/bin/env bash
# Checks histories of real threads on one ring. Each must have an order of all calls in which a
# sequential ring gives the same answers. Then tries each fault of `faults/linearizable.toml` in a
# copy of the source. Some history there must have no such order.
#
# REORDER_HISTORIES is the number of histories. Arguments select faults.
set -euo pipefail
cd "$(dirname "$0")/.."

target=$(realpath -m "${CARGO_TARGET_DIR:-target}")/hooks
mkdir -p "$target"
export REORDER_HISTORIES=${REORDER_HISTORIES-3000}

if [ $# -eq 0 ] || [ "$1" = --canary ]; then
    # A thousand histories take a second on an idle machine, and half a minute on a busy one.
    RUSTFLAGS="${RUSTFLAGS-} --cfg reorder_hooks" RUST_BACKTRACE=0 CARGO_TARGET_DIR=$target \
        timeout $((600 + REORDER_HISTORIES / 5)) \
        cargo test -q --release -p reorder-stress --test linearizable -- --nocapture histories_ \
        >"$target/log" 2>&1 || { tail -n 60 "$target/log"; exit 1; }
    grep '^linearizable: ' "$target/log"
fi

cargo xtask faults run linearizable "$@"
