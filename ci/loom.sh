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

# models ROOT TARGET ARGUMENT...: builds the models against the source in ROOT, or runs them.
models() {
    (cd "$1" && CARGO_TARGET_DIR=$2 cargo test --release -p loom-tests --test models "${@:3}")
}

if [ $# -eq 0 ]; then
    models . "$target" -- --nocapture --test-threads 2 | tee "$target/log"
    completed=$(sed -n 's/^loom: .*: \([0-9]*\) executions.*/\1/p' "$target/log" | wc -l)
    listed=$(models . "$target" -- --list | grep -c ': test$')
    if [ "$completed" -eq 0 ] || [ "$completed" -ne "$listed" ]; then
        echo "loom: $listed models, of which $completed say how many executions they completed"
        exit 1
    fi
    echo "loom: $completed models pass"
    set -- loom-tests/twins/*.patch
    set -- "${@##*/}"
    set -- "${@%.patch}"
fi

# attempt TWIN: prints what became of it, in one line if it was noticed.
attempt() {
    local name=$1 twin=$PWD/loom-tests/twins/$1.patch copy=$target/twin$SLOT status=0 model why
    # What is built of a copy has a place of its own: cargo would take it for what is built of the original.
    local built=$target/twins$SLOT log=$target/$1.log
    # A twin dies early in its search, so that to compile it quickly is worth more than to run it fast; and it differs
    # from the last one in a few lines.
    local quick=(--config 'profile.release.package.loom-tests.opt-level=0')
    quick+=(--config 'profile.release.incremental=true')
    model=$(sed -n 's/^Killed by: //p' "$twin")
    rm -rf "$copy"
    mkdir -p "$copy"
    cp -r Cargo.toml Cargo.lock reorder executor doc-tests loom-tests stress benches xtask "$copy"
    # Outside of any repository `git apply` is `patch`; inside of one it skips what is not tracked.
    if ! GIT_CEILING_DIRECTORIES="$target" git -C "$copy" apply "$twin"; then
        echo "loom: the twin $name does not apply any more: write it anew for the changed source"
        return
    fi
    if ! models "$copy" "$built" "${quick[@]}" --no-run >"$log" 2>&1; then
        cat "$log"
        echo "loom: the twin $name does not compile"
        return
    fi
    timeout 300 bash -c 'models "$@"' models "$copy" "$built" -q "${quick[@]}" -- --exact "$model" --nocapture \
        >"$log" 2>&1 || status=$?
    why=$(sed -n '/ panicked at /{n;p;q}' "$log")
    # One that times out, is killed without a word, or has fewer executions was not noticed.
    if [ $status -eq 0 ] || [ $status -eq 124 ] || [ -z "$why" ] || [[ $why == *"fewer than"* ]]; then
        tail -n 60 "$log"
        echo "loom: the twin $name survives $model (status $status)"
    else
        echo "loom: the twin $name dies in $model: $why"
    fi
}
export -f attempt models
export target

unset LOOM_MAX_PREEMPTIONS
printf '%s\n' "$@" | xargs -P "$(nproc)" --process-slot-var=SLOT -I TWIN bash -c 'attempt TWIN' |
    tee "$target/outcomes"
rm -rf "$target"/twin[0-9]*
noticed=$(grep -c '^loom: the twin [a-z_]* dies in ' "$target/outcomes" || true)
echo "loom: $# twins, $noticed noticed by their models"
[ "$noticed" -eq $# ]
