#!/usr/bin/env bash
# Runs tests under Miri. Miri finds undefined behaviour, data races and leaks in single executions.
#
# | tests of           | models of borrows                | a leak    |
# |--------------------|----------------------------------|-----------|
# | the ring alone     | Stacked Borrows and Tree Borrows | fails     |
# | the pool           | Tree Borrows                     | is hidden |
#
# Stacked Borrows reports crossbeam-epoch itself. A static collector of crossbeam-epoch never frees
# what its threads have registered. So the tests of the ring alone build without crossbeam-epoch.
# Leaks of the pool are the matter of tests that count drops and bytes, and of LeakSanitizer in
# `ci/sanitizers.sh`. The stress tests of the pool take too long, and the executor is not tried.
#
# Each seed leads to other schedules, and to other old values of loads. REORDER_MIRI_SEEDS is the
# number of seeds, by default 16.
set -euo pipefail
cd "$(dirname "$0")/.."

has() { cargo +nightly miri --version >/dev/null 2>&1; }
has || rustup component add --toolchain nightly miri rust-src >/dev/null 2>&1 || true
if ! has; then
    echo "skipped: miri: the nightly toolchain has no Miri, and rustup cannot install it"
    exit 0
fi

target=${CARGO_TARGET_DIR:-target}/miri
seeds=${REORDER_MIRI_SEEDS-16}

# run NAME MIRIFLAGS CARGO-ARGUMENT...: runs tests once with each seed.
run() {
    local name=$1 flags=$2 seed
    shift 2
    for ((seed = 0; seed < seeds; seed++)); do
        if ! MIRIFLAGS="-Zmiri-seed=$seed $flags ${MIRIFLAGS-}" \
            cargo +nightly miri test -q --target-dir "$target" "$@"; then
            echo "miri: $name: seed $seed fails"
            exit 1
        fi
    done
    echo "miri: $name: ok with $seeds seeds"
}

# crossbeam-epoch makes pointers from integers.
epoch="-Zmiri-tree-borrows -Zmiri-permissive-provenance -Zmiri-ignore-leaks"

alone=(-p reorder-ring --no-default-features --features std --lib --test ring)
run "the ring, Stacked Borrows" "" "${alone[@]}"
run "the ring, Tree Borrows" "-Zmiri-tree-borrows" "${alone[@]}"
run "the unit tests of the pool" "$epoch" -p reorder-ring --lib -- pool::
run "the pool" "$epoch" -p reorder-ring --test pool -- --skip stress::
