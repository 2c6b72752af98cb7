#!/usr/bin/env bash
# Checks the oldest Rust that `Cargo.toml` declares. It builds all crates, with all features but
# `nats`, and their tests and examples. The ring passes its unit tests.
set -euo pipefail
cd "$(dirname "$0")/.."

msrv=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
has() { cargo "+$msrv" --version >/dev/null 2>&1; }
has || rustup toolchain install "$msrv" --profile minimal --no-self-update >/dev/null 2>&1 || true
if ! has; then
    echo "skipped: msrv: Rust $msrv is not installed, and rustup cannot install it"
    exit 0
fi

export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}/msrv
crates=(--locked -p reorder-ring -p reorder-executor -p reorder-requests --all-features)
# The client of NATS needs a newer Rust, so the feature of `reorder-remote` is off.
remote=(--locked -p reorder-remote)
cargo "+$msrv" build -q "${crates[@]}" --lib
cargo "+$msrv" build -q "${remote[@]}" --lib
# The old toolchain has other lints than that of `ci/tidy.sh`, so they are off.
RUSTFLAGS="${RUSTFLAGS-} --cap-lints allow" cargo "+$msrv" check -q "${crates[@]}" --all-targets
RUSTFLAGS="${RUSTFLAGS-} --cap-lints allow" cargo "+$msrv" check -q "${remote[@]}" --all-targets
export REORDER_STRESS_BATCHES=${REORDER_STRESS_BATCHES-10000}
cargo "+$msrv" test -q --locked -p reorder-ring --no-default-features --features std --lib
echo "msrv: $(rustc "+$msrv" --version) builds all crates, and the ring passes its unit tests"
