#!/usr/bin/env bash
# Histories of real threads on one ring, each checked for an order of all calls in which a sequential ring
# gives the same answers; and the proof that the check can fail: with faults of `loom-tests/twins`, in a copy
# of the source, some history must have none.
#
# REORDER_HISTORIES is how many histories there are. Arguments select twins.
set -euo pipefail
cd "$(dirname "$0")/.."

target=$(realpath -m "${CARGO_TARGET_DIR:-target}")/linearizable
mkdir -p "$target"
export RUSTFLAGS="${RUSTFLAGS-} --cfg reorder_hooks" RUST_BACKTRACE=0
export REORDER_HISTORIES=${REORDER_HISTORIES-3000}

# histories ROOT ARGUMENT...: builds the check against the ring in ROOT, or runs it. What is built of a copy
# has a place of its own: cargo would take it for what is built of the original. Twins differ in a few lines.
histories() {
    local built=$target incremental=false
    [ "$1" = . ] || { built=$target/twins incremental=true; }
    (cd "$1" && CARGO_TARGET_DIR=$built CARGO_PROFILE_RELEASE_INCREMENTAL=$incremental timeout 600 cargo test -q --release -p reorder-stress --test linearizable "${@:2}")
}

if [ $# -eq 0 ]; then
    histories . -- --nocapture >"$target/log" 2>&1 || { tail -n 60 "$target/log"; exit 1; }
    grep '^linearizable: ' "$target/log"
    # Not those that show in the second batch only: that a long history has no order can take minutes to find.
    set -- claim_in_two_steps evict_in_two_steps generation_not_compared first_side_closes \
        cancelled_without_a_second_look
fi

copy=$target/twin
for twin in "$@"; do
    rm -rf "$copy"
    mkdir -p "$copy"
    cp -r Cargo.toml Cargo.lock reorder executor doc-tests loom-tests stress benches xtask "$copy"
    GIT_CEILING_DIRECTORIES="$target" git -C "$copy" apply "$PWD/loom-tests/twins/$twin.patch"
    histories "$copy" --no-run 2>"$target/$twin.log" || { cat "$target/$twin.log"; exit 1; }
    if histories "$copy" >"$target/$twin.log" 2>&1; then
        echo "linearizable: the twin $twin survives"
        exit 1
    fi
    if ! grep -m1 'is not linearizable' "$target/$twin.log" >"$target/why"; then
        tail -n 50 "$target/$twin.log"
        echo "linearizable: the twin $twin fails for another reason"
        exit 1
    fi
    echo "linearizable: the twin $twin is noticed: $(cat "$target/why")"
done
rm -rf "$copy"
