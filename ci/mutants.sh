#!/usr/bin/env bash
# Changes the code by one mutation at a time. The tests should fail each time.
#
# `cargo xtask mutants` changes what threads see: it leaves out a statement, swaps two, or holds a
# lock for longer. `ci/mutants.toml` has the mutants that change nothing. Then cargo-mutants
# changes operators, constants and results. `docs/verification.md` discusses what survives there.
#
# The whole takes many hours. `--shard K/N` runs each N-th mutation only, from the K-th on.
# `cargo xtask mutants` has options to go on behind an earlier run, and for a quick run.
# `ci/mutants.sh --changed` tries 20 statements that changed since the commit REORDER_BASE, by
# default the parent of the last commit.
#
# It builds cargo-mutants into the target directory if it is missing.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ "${1-}" = --changed ]; then
    base=${REORDER_BASE:-HEAD~1}
    if ! git rev-parse --quiet --verify "$base^{commit}" >/dev/null; then
        echo "skipped: mutants: there is no commit $base to compare with"
        exit 0
    fi
    cargo xtask mutants run --since "$base" --at-most 20
    exit 0
fi
status=0
cargo xtask mutants run "$@" || status=$?

version=27.1.0
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")/mutants
mkdir -p "$target"
PATH=$target/tools/bin:$PATH
install=(cargo install -q --locked --debug "cargo-mutants@$version")
install+=(--root "$target/tools" --target-dir "$target/install")
if ! cargo mutants --version >/dev/null 2>&1 && ! CARGO_PROFILE_DEV_DEBUG=0 "${install[@]}"; then
    echo "skipped: mutants: cargo-mutants $version is not installed, and cannot be built here"
    exit $status
fi
rm -rf "$target/install"
# With hooks, the tests of step bounds notice mutations that change no answer.
export RUSTFLAGS="${RUSTFLAGS-} --cfg reorder_hooks"
# Mutations change the logic, so few interleavings are enough.
export REORDER_STRESS_BATCHES=${REORDER_STRESS_BATCHES-10000}
export REORDER_POOL_THREADS=${REORDER_POOL_THREADS-100}
files=()
for file in ring producer consumer batch ticket pool; do
    files+=(-f "reorder/src/$file.rs" -f "reorder/src/$file/*.rs")
done
cargo mutants -p reorder-ring --output "$target" --timeout 30 --no-shuffle --baseline skip \
    "${files[@]}" "$@" -- --lib --test ring --test pool --test pool_allocations --test wire \
    --test progress || status=$?
for crate in executor requests; do
    cargo mutants -p "reorder-$crate" --output "$target/$crate" --timeout 180 --no-shuffle \
        --baseline skip "$@" -- --lib --tests || status=$?
done
exit $status
