#!/usr/bin/env bash
# The executor under random schedules (shuttle), and the proof that they can fail: with faults of
# `loom-tests/twins` that take no memory order to see, and those of `ci/seeds/schedules`, in a copy of the
# source, some test has to.
#
# REORDER_SCHEDULES is how many schedules each test gets from either scheduler.
set -euo pipefail
cd "$(dirname "$0")/.."

target=$(realpath -m "${CARGO_TARGET_DIR:-target}")/schedules
mkdir -p "$target"
export RUSTFLAGS="${RUSTFLAGS-} --cfg reorder_shuttle" RUST_BACKTRACE=0
export REORDER_SCHEDULES=${REORDER_SCHEDULES-3000}

# schedules ROOT ARGUMENT...: builds the tests against the executor in ROOT, or runs them. What is built of a
# copy has a place of its own: cargo would take it for what is built of the original. Twins differ in a few lines.
schedules() {
    local built=$target incremental=false
    [ "$1" = . ] || { built=$target/twins incremental=true; }
    (cd "$1" && CARGO_TARGET_DIR=$built CARGO_PROFILE_RELEASE_INCREMENTAL=$incremental timeout 600 cargo test -q --release -p reorder-executor --test schedules "${@:2}")
}

# What is caught is printed as well, with the schedule that led there: only a failure's is of interest.
if ! schedules . >"$target/log" 2>&1; then
    tail -n 200 "$target/log"
    echo "schedules: a test fails"
    exit 1
fi
passed=$(sed -n 's/^test result: ok. \([0-9]*\) passed.*/\1/p' "$target/log")
if [ "${passed:-0}" -eq 0 ]; then
    echo "schedules: no test ran"
    exit 1
fi
echo "schedules: $passed tests pass, each with $REORDER_SCHEDULES random schedules and as many by PCT"

copy=$target/twin
twins=loom-tests/twins
for patch in $twins/{doze_without_a_look,doze_through_the_end,rest_tells_nobody,cancellation_wakes_no_consumer}.patch \
    ci/seeds/schedules/*.patch; do
    twin=$(basename "$patch" .patch)
    rm -rf "$copy"
    mkdir -p "$copy"
    cp -r Cargo.toml Cargo.lock reorder executor doc-tests loom-tests stress benches xtask "$copy"
    GIT_CEILING_DIRECTORIES="$target" git -C "$copy" apply "$PWD/$patch"
    schedules "$copy" --no-run 2>"$target/$twin.log" || { cat "$target/$twin.log"; exit 1; }
    if schedules "$copy" >"$target/$twin.log" 2>&1; then
        echo "schedules: the twin $twin survives"
        exit 1
    fi
    if ! grep -q '^deadlock' "$target/$twin.log"; then
        tail -n 50 "$target/$twin.log"
        echo "schedules: the twin $twin does not fail by a deadlock"
        exit 1
    fi
    echo "schedules: the twin $twin is noticed"
done
rm -rf "$copy"
