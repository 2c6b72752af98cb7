#!/usr/bin/env bash
# Wait-freedom, shown: with a hook before each access to shared memory, how many of them an operation
# takes (real threads, and all executions of loom models), and that all others finish while a thread is
# stopped before any of them. Then copies of the source with a fault each, which must be noticed.
set -euo pipefail
cd "$(dirname "$0")/.."

target=$(realpath -m "${CARGO_TARGET_DIR:-target}")/progress
mkdir -p "$target"

# real ROOT TARGET ARGUMENT...: the tests of real threads.
real() {
    (cd "$1" && RUSTFLAGS="${RUSTFLAGS-} --cfg reorder_hooks" CARGO_TARGET_DIR=$2 \
        cargo test -q -p reorder-ring --test progress "${@:3}")
}

# ran LOG: how many tests passed there.
ran() { sed -n 's/^test result: ok. \([0-9]*\) passed.*/\1/p' "$1"; }

real . "$target" >"$target/log" 2>&1 || { cat "$target/log"; exit 1; }
[ "$(ran "$target/log")" -gt 0 ] || { echo "progress: no test ran"; exit 1; }
echo "progress: $(ran "$target/log") tests of real threads pass"

RUSTFLAGS="${RUSTFLAGS-} --cfg reorder_hooks --cfg reorder_loom --cfg crossbeam_loom" CARGO_TARGET_DIR=$target \
    cargo test -q --release -p loom-tests --test progress -- --nocapture >"$target/log" 2>&1 ||
    { cat "$target/log"; exit 1; }
[ "$(ran "$target/log")" -gt 0 ] || { echo "progress: no model ran"; exit 1; }
grep -oE '(loom|steps): .*' "$target/log"

copy=$target/seeded
for seed in ci/seeds/progress/*.patch; do
    name=$(basename "$seed" .patch)
    rm -rf "$copy"
    mkdir -p "$copy"
    cp -r Cargo.toml Cargo.lock reorder executor doc-tests loom-tests stress benches xtask "$copy"
    GIT_CEILING_DIRECTORIES="$target" git -C "$copy" apply "$PWD/$seed"
    # What is built of a copy has a place of its own: cargo would take it for what is built of the original.
    real "$copy" "$target/seeds" --no-run 2>"$target/$name.log" || { cat "$target/$name.log"; exit 1; }
    if REORDER_STANDSTILL=2 timeout 120 \
        bash -c "$(declare -f real); real '$copy' '$target/seeds'" >"$target/$name.log" 2>&1; then
        echo "progress: the seed $name survives"
        exit 1
    fi
    why=$(grep -m1 -E 'all stand still|and may take' "$target/$name.log") ||
        { tail -n 40 "$target/$name.log"; echo "progress: the seed $name fails for another reason"; exit 1; }
    echo "progress: the seed $name is noticed: $why"
done
rm -rf "$copy"
