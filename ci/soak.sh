#!/usr/bin/env bash
# Tests all parts of the crates at the same time: `ci/soak.sh MINUTES [--seed N]`.
#
# 18 threads run with delays before their steps, and every answer is checked. The program prints the
# numbers of answers, of refusals by reason, and the peak memory.
#
# Without arguments, it runs for a minute. Then it runs with a fault of `faults/models.toml` in a
# copy of the source, and must fail.
set -euo pipefail
cd "$(dirname "$0")/.."

target=$(realpath -m "${CARGO_TARGET_DIR:-target}")/hooks
mkdir -p "$target"

# build ROOT TARGET: builds the program of the source in ROOT.
build() {
    (cd "$1" && RUSTFLAGS="${RUSTFLAGS-} --cfg reorder_hooks" CARGO_TARGET_DIR=$2 \
        cargo build -q --release -p reorder-stress --bin soak)
}

# soak TARGET MINUTES ARGUMENT...: runs the program, and ends it if it hangs.
soak() {
    local seconds
    seconds=$(awk -v minutes="$2" 'BEGIN { print int(minutes * 60) + 240 }')
    timeout "$seconds" "$1/release/soak" "${@:2}"
}

build . "$target"
status=0
soak "$target" "${@:-1}" || status=$?
[ $status -ne 124 ] || echo "soak: the program hangs"
if [ $status -ne 0 ] || [ $# -gt 0 ]; then
    exit $status
fi

copy=$target/faulty
fault=generation_not_compared
rm -rf "$copy"
cargo xtask faults apply $fault "$copy"
build "$copy" "$target/build-faulty"
if RUST_BACKTRACE=0 soak "$target/build-faulty" 0.2 >"$target/$fault.log" 2>&1; then
    echo "soak: the fault $fault survives"
    exit 1
fi
if ! reason=$(grep -m1 'was accepted' "$target/$fault.log"); then
    tail -n 40 "$target/$fault.log"
    echo "soak: the fault $fault is not the reason for the failure"
    exit 1
fi
echo "soak: the fault $fault is noticed: $reason"
rm -rf "$copy"
