#!/usr/bin/env bash
# Runs each fuzz target for 10 seconds, or longer: `ci/fuzz.sh SECONDS`.
#
# The targets run with AddressSanitizer. Inputs that a run finds beyond `fuzz/corpus` stay in the
# target directory, and the next run continues with them.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1-10}
if ! cargo +nightly --version >/dev/null 2>&1; then
    echo "skipped: fuzz: coverage and AddressSanitizer: there is no nightly toolchain"
    exit 0
fi
if ! command -v "${CXX-c++}" >/dev/null; then
    echo "skipped: fuzz: libFuzzer is built with a C++ compiler, and there is none"
    exit 0
fi
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")/fuzz
export CARGO_TARGET_DIR=$target

if ! command -v cargo-fuzz >/dev/null; then
    PATH=$target/tools/bin:$PATH
    command -v cargo-fuzz >/dev/null ||
        cargo install -q --locked --root "$target/tools" --target-dir "$target/install" \
            cargo-fuzz@0.13.2
fi

cargo fmt --manifest-path fuzz/Cargo.toml --check
for name in ticket_bits ring_ops pool_ops; do
    mkdir -p "$target/corpus/$name" "$target/artifacts"
    # Short inputs: an operation takes two or three bytes.
    cargo +nightly fuzz run -O -a "$name" "$target/corpus/$name" "fuzz/corpus/$name" -- \
        -max_total_time="$seconds" -max_len=300 -timeout=10 -rss_limit_mb=4096 \
        -print_final_stats=1 \
        -verbosity=0 -artifact_prefix="$target/artifacts/$name-" >"$target/$name.log" 2>&1 ||
        { tail -n 60 "$target/$name.log"; echo "fuzz: $name: FAILED"; exit 1; }
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$target/$name.log")
    [ "${runs:-0}" -gt 0 ] || { echo "fuzz: $name: nothing was run"; exit 1; }
    echo "fuzz: $name: $runs runs in $seconds s, nothing found"
done
