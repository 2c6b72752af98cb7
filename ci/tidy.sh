#!/usr/bin/env bash
# Checks the source without running it: format, lints, documentation, layers, labels, tables, faults,
# and lengths of files.
set -euo pipefail
cd "$(dirname "$0")/.."

# `cargo fmt` asks the build for the modules, so those that only a cfg brings are formatted as well.
cargo fmt --all --check
echo "tidy: format: ok"

cargo clippy -q --workspace --all-targets --all-features -- -D warnings
# The models are another program: other primitives, other modules. A target directory of its own
# keeps the change of flags from rebuilding the rest.
RUSTFLAGS="${RUSTFLAGS-} --cfg reorder_loom --cfg crossbeam_loom" \
    cargo clippy -q -p reorder-ring -p loom-tests --all-targets \
    --target-dir "${CARGO_TARGET_DIR:-target}/tidy-loom" -- -D warnings
RUSTFLAGS="${RUSTFLAGS-} --cfg reorder_hooks" \
    cargo clippy -q -p reorder-ring --lib --test progress -p reorder-stress --test linearizable \
    --target-dir "${CARGO_TARGET_DIR:-target}/tidy-hooks" -- -D warnings
RUSTFLAGS="${RUSTFLAGS-} --cfg reorder_shuttle" \
    cargo clippy -q -p reorder-executor --lib --test schedules \
    --target-dir "${CARGO_TARGET_DIR:-target}/tidy-shuttle" -- -D warnings
echo "tidy: clippy, with and without loom, with hooks, and with shuttle: ok"

RUSTDOCFLAGS="${RUSTDOCFLAGS-} -D warnings" cargo doc -q --no-deps --workspace --all-features
echo "tidy: documentation: ok"

cargo test -q -p xtask
cargo xtask layers
cargo xtask layers --self-test
cargo xtask labels
cargo xtask orderings check
cargo xtask faults check
cargo xtask bounds check
cargo xtask lengths
