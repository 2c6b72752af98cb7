#!/usr/bin/env bash
# Checks that the crates build with their features, and the ring also without std. Checks that they
# use nothing of std that is newer than the declared `rust-version`.
set -euo pipefail
cd "$(dirname "$0")/.."

# The ring without features, and with each feature alone.
cargo check -q -p reorder-ring --no-default-features
cargo check -q -p reorder-ring --no-default-features --features std
cargo check -q -p reorder-ring --no-default-features --features pool
cargo check -q -p reorder-ring --no-default-features --features stream
cargo check -q -p reorder-ring --no-default-features --features serde
for feature in sink tracing tokio; do
    cargo check -q -p reorder-executor --features "$feature"
done
for feature in metrics tracing tokio; do
    cargo check -q -p reorder-requests --features "$feature"
done
# The tests of features, and those that run other code with a feature. One build has all features.
cargo test -q -p reorder-executor --all-features --test tracing_events --test tracing_panics \
    --test tracing_spans --test tracing_subscribers --test tasks --test unwinding
cargo test -q -p reorder-requests --all-features --test metrics --test tracing_panics \
    --test tracing_spans
cargo test -q -p reorder-requests --all-features --test calls -- async_jobs:: tokio_blocking::
# Tests and examples must not need features that they do not declare.
cargo check -q -p reorder-ring --no-default-features --all-targets
cargo test -q -p reorder-ring --all-features --test async --test wire
cargo test -q -p reorder-ring --all-features --doc
for example in pipeline rayon_fan_out message_consumer async_fan_out jitter_buffer; do
    RUST_BACKTRACE=0 cargo run -q -p reorder-ring --features stream --example "$example" >/dev/null
done
for example in map_in_order stream_lines submit_and_wait deadlines_and_cancellation \
    nested_calls snapshot_and_shutdown parallel_grep compressing_write jsonl_within_bytes \
    ordered_commits three_stages collect_results; do
    RUST_BACKTRACE=0 cargo run -q -p reorder-executor --example "$example" >/dev/null
done
for example in rate_limited tokio_service bulk_client; do
    RUST_BACKTRACE=0 cargo run -q -p reorder-requests --example "$example" >/dev/null
done
RUST_BACKTRACE=0 cargo run -q -p reorder-remote --example resume_after_crash >/dev/null
echo "features: reorder-ring without features, with each alone and with all: ok"
echo "features: reorder-executor and reorder-requests with and without their features: ok"

# On a target with std, a `no_std` crate may still get std from a dependency. This target has none.
bare=x86_64-unknown-none
has_bare() { rustc --print target-libdir --target "$bare" 2>/dev/null | xargs -I{} test -d {}; }
has_bare || { command -v rustup >/dev/null && rustup target add "$bare" >/dev/null 2>&1; } || true
if has_bare; then
    cargo check -q -p reorder-ring --no-default-features --features stream,serde --target "$bare"
    echo "features: reorder-ring builds for $bare, which has no std"
else
    echo "skipped: features: the build for $bare: rustup cannot install this target"
fi

# The lint knows the first Rust version of each item of std, so any toolchain can run it.
cargo clippy -q --workspace -- -D clippy::incompatible_msrv
msrv=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
echo "features: the crates use nothing of std that is newer than Rust $msrv"
