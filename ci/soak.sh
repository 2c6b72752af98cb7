#!/usr/bin/env bash
# Runs everything at once: `ci/soak.sh MINUTES [--seed N]`. Sixteen threads have delays before their
# steps, and every answer is checked. The program prints the number of operations, the refusals by
# reason, and the peak memory.
#
# Without arguments it runs for a minute, and then with a fault of `faults/models.toml` in a copy of
# the source, which must be noticed.
set -euo pipefail
cd "$(dirname "$0")/.."

target=$(realpath -m "${CARGO_TARGET_DIR:-target}")/soak
mkdir -p "$target"

# build ROOT TARGET
build() {
    (cd "$1" && RUSTFLAGS="${RUSTFLAGS-} --cfg reorder_hooks" CARGO_TARGET_DIR=$2 \
        cargo build -q --release -p reorder-stress --bin soak)
}

# soak TARGET MINUTES ARGUMENT...: fails if the program stands still.
soak() {
    local limit
    limit=$(awk -v minutes="$2" 'BEGIN { print int(minutes * 60) + 240 }')
    timeout "$limit" "$1/release/soak" "${@:2}"
}

build . "$target"
status=0
soak "$target" "${@:-1}" || status=$?
[ $status -ne 124 ] || echo "soak: it stands still"
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
why=$(grep -m1 'was accepted' "$target/$fault.log") ||
    {
        tail -n 40 "$target/$fault.log"
        echo "soak: the fault $fault is not the reason of the failure"
        exit 1
    }
echo "soak: the fault $fault is noticed: $why"
rm -rf "$copy"
