#!/usr/bin/env bash
# Builds both crates with the oldest Rust that `Cargo.toml` declares, with all features, tests and
# examples. Runs the unit tests of the ring with it.
set -euo pipefail
cd "$(dirname "$0")/.."

msrv=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
has() { cargo "+$msrv" --version >/dev/null 2>&1; }
has || rustup toolchain install "$msrv" --profile minimal --no-self-update >/dev/null 2>&1 || true
if ! has; then
    echo "skipped: msrv: Rust $msrv is not installed, nor to be had from rustup"
    exit 0
fi

export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}/msrv
crates=(--locked -p reorder-ring -p reorder-executor --all-features)
cargo "+$msrv" build -q "${crates[@]}" --lib
# Old lints differ from the lints of `ci/tidy.sh`.
RUSTFLAGS="${RUSTFLAGS-} --cap-lints allow" cargo "+$msrv" check -q "${crates[@]}" --all-targets
REORDER_STRESS_BATCHES=${REORDER_STRESS_BATCHES-10000} \
    cargo "+$msrv" test -q --locked -p reorder-ring --no-default-features --features std --lib
echo "msrv: $(rustc "+$msrv" --version) builds both crates, and the ring passes its unit tests"
