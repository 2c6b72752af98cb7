#!/usr/bin/env bash
# Runs each fuzz target for some seconds: `ci/fuzz.sh [SECONDS]`, by default 10.
#
# The targets run with AddressSanitizer. New inputs that a run finds are kept in the target
# directory, and the next run starts with them and with `fuzz/corpus`.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1-10}
if ! cargo +nightly --version >/dev/null 2>&1; then
    echo "skipped: fuzz: coverage and AddressSanitizer need a nightly toolchain"
    exit 0
fi
if ! command -v "${CXX-c++}" >/dev/null; then
    echo "skipped: fuzz: libFuzzer needs a C++ compiler"
    exit 0
fi
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")/fuzz
export CARGO_TARGET_DIR=$target

if ! command -v cargo-fuzz >/dev/null; then
    PATH=$target/tools/bin:$PATH
    install=(cargo install -q --locked cargo-fuzz@0.13.2)
    command -v cargo-fuzz >/dev/null ||
        "${install[@]}" --root "$target/tools" --target-dir "$target/install"
fi

cargo fmt --manifest-path fuzz/Cargo.toml --check
for name in ticket_bits ring_ops pool_ops; do
    mkdir -p "$target/corpus/$name" "$target/artifacts"
    # An operation takes two or three bytes, so inputs can be short.
    cargo +nightly fuzz run -O -a "$name" "$target/corpus/$name" "fuzz/corpus/$name" -- \
        -max_total_time="$seconds" -max_len=300 -timeout=10 -rss_limit_mb=4096 \
        -print_final_stats=1 -verbosity=0 -artifact_prefix="$target/artifacts/$name-" \
        >"$target/$name.log" 2>&1 ||
        { tail -n 60 "$target/$name.log"; echo "fuzz: $name: FAILED"; exit 1; }
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$target/$name.log")
    [ "${runs:-0}" -gt 0 ] || { echo "fuzz: $name: the target did not run"; exit 1; }
    echo "fuzz: $name: $runs runs in $seconds s, no failure found"
done
