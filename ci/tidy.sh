#!/usr/bin/env bash
# Checks the source without running it: format, lints, documentation, layers, labels, tables,
# faults, language, and lengths of files. `ci/lints.sh` lints the code that only a cfg brings.
set -euo pipefail
cd "$(dirname "$0")/.."

# `cargo fmt` asks the build for the modules, so it also formats the modules that only a cfg brings.
cargo fmt --all --check
echo "tidy: format: ok"

cargo clippy -q --workspace --all-targets --all-features -- -D warnings
echo "tidy: clippy: ok"

RUSTDOCFLAGS="${RUSTDOCFLAGS-} -D warnings" cargo doc -q --no-deps --workspace --all-features
echo "tidy: documentation: ok"

cargo test -q -p xtask
cargo xtask layers
cargo xtask layers --self-test
cargo xtask labels
cargo xtask orderings check
cargo xtask faults check
cargo xtask mutants check
cargo xtask bounds check
cargo xtask lengths
cargo xtask prose
