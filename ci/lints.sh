#!/usr/bin/env bash
# Runs clippy with each cfg that changes the code: the models, the hooks, and shuttle. Each has a
# target directory of its own, so that the change of flags does not rebuild the rest. Then it runs
# clippy for the executor and the requests without features.
set -euo pipefail
cd "$(dirname "$0")/.."

RUSTFLAGS="${RUSTFLAGS-} --cfg reorder_loom --cfg crossbeam_loom" \
    cargo clippy -q -p reorder-ring -p loom-tests --all-targets \
    --target-dir "${CARGO_TARGET_DIR:-target}/tidy-loom" -- -D warnings
RUSTFLAGS="${RUSTFLAGS-} --cfg reorder_hooks" \
    cargo clippy -q -p reorder-ring --lib --test progress -p reorder-stress --test linearizable \
    --target-dir "${CARGO_TARGET_DIR:-target}/tidy-hooks" -- -D warnings
RUSTFLAGS="${RUSTFLAGS-} --cfg reorder_shuttle" \
    cargo clippy -q -p reorder-executor -p reorder-requests --lib -p loom-tests --test schedules \
    --target-dir "${CARGO_TARGET_DIR:-target}/tidy-shuttle" -- -D warnings
RUSTFLAGS="${RUSTFLAGS-} --cfg reorder_shuttle --cfg reorder_hooks" \
    cargo clippy -q -p reorder-executor --lib -p loom-tests --test lines \
    --target-dir "${CARGO_TARGET_DIR:-target}/tidy-lines" -- -D warnings
cargo clippy -q -p reorder-executor -p reorder-requests --all-targets -- -D warnings
echo "lints: clippy, with loom, with hooks, with shuttle, with both, and without features: ok"
