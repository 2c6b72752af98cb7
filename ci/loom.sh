#!/usr/bin/env bash
# The models of `loom-tests`, and for each twin in `loom-tests/twins` the proof that its model can
# fail: a copy of the source with that bug in it, explored in a process of its own.
#
# Orders that are too weak are the business of `ci/orderings.sh`.
#
# LOOM_MAX_PREEMPTIONS overrides the bounds of the models, for a deeper search or a quicker one;
# the twins keep the models' own. Arguments select twins: `ci/loom.sh gate_not_waited_for`.
set -euo pipefail
cd "$(dirname "$0")/.."

target=$(realpath -m "${CARGO_TARGET_DIR:-target}")/loom
mkdir -p "$target"
export RUSTFLAGS="${RUSTFLAGS-} --cfg reorder_loom --cfg crossbeam_loom"

# models ROOT ARGUMENT...: builds the models against the source in ROOT, or runs them. What is built of a
# copy has a place of its own: cargo would take it for what is built of the original.
models() {
    local built=$target
    [ "$1" = . ] || built=$target/twins
    (cd "$1" && CARGO_TARGET_DIR=$built cargo test --release -p loom-tests --test models "${@:2}")
}

if [ $# -eq 0 ]; then
    models . -- --nocapture --test-threads 2 | tee "$target/log"
    completed=$(sed -n 's/^loom: .*: \([0-9]*\) executions.*/\1/p' "$target/log" | wc -l)
    listed=$(models . -- --list | grep -c ': test$')
    if [ "$completed" -eq 0 ] || [ "$completed" -ne "$listed" ]; then
        echo "loom: $listed models, of which $completed say how many executions they completed"
        exit 1
    fi
    echo "loom: $completed models pass"
    twins=(loom-tests/twins/*.patch)
else
    twins=("${@/#/loom-tests/twins/}")
    twins=("${twins[@]/%/.patch}")
fi

unset LOOM_MAX_PREEMPTIONS
# A twin dies early in its search, so that to compile it quickly is worth more than to run it fast.
quick=(--config 'profile.release.package.loom-tests.opt-level=0')
copy=$target/twin
failed=0
for twin in "${twins[@]}"; do
    name=$(basename "$twin" .patch)
    model=$(sed -n 's/^Killed by: //p' "$twin")
    rm -rf "$copy"
    mkdir -p "$copy"
    cp -r Cargo.toml Cargo.lock reorder executor loom-tests stress benches "$copy"
    # Outside of any repository `git apply` is `patch`; inside of one it skips what is not tracked.
    if ! GIT_CEILING_DIRECTORIES="$target" git -C "$copy" apply "$PWD/$twin"; then
        echo "loom: the twin $name does not apply any more: write it anew for the changed source"
        failed=1
        continue
    fi
    if ! models "$copy" "${quick[@]}" --no-run 2>"$target/$name.log"; then
        cat "$target/$name.log"
        echo "loom: the twin $name does not compile"
        failed=1
        continue
    fi
    status=0
    (cd "$copy" && CARGO_TARGET_DIR=$target/twins timeout 300 cargo test -q --release -p loom-tests --test models \
        "${quick[@]}" -- --exact "$model" --nocapture) >"$target/$name.log" 2>&1 || status=$?
    why=$(sed -n '/ panicked at /{n;p;q}' "$target/$name.log")
    # One that times out, is killed without a word, or has fewer executions was not noticed.
    if [ $status -eq 0 ] || [ -z "$why" ] || [[ $why == *"fewer than"* ]]; then
        cat "$target/$name.log"
        echo "loom: the twin $name survives $model (status $status)"
        failed=1
    else
        echo "loom: the twin $name dies in $model: $why"
    fi
done
rm -rf "$copy"
[ $failed -eq 0 ] || exit 1
echo "loom: ${#twins[@]} twins, each noticed by its model"
