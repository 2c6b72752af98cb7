#!/usr/bin/env bash
# Mutates the logic of tags, ring and pool, one mutation at a time. The tests of the ring should
# notice each. Run it by hand: it takes an hour or more. `docs/verification.md` explains the
# mutations that survive. Arguments go to cargo-mutants, such as `-f reorder/src/ring/tag.rs`.
#
# cargo install cargo-mutants --locked
set -euo pipefail
cd "$(dirname "$0")/.."

if ! cargo mutants --version >/dev/null 2>&1; then
    echo "skipped: mutants: cargo-mutants is not installed"
    exit 0
fi
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")/mutants
mkdir -p "$target"
# The bounds on steps notice mutations that change no answer.
export RUSTFLAGS="${RUSTFLAGS-} --cfg reorder_hooks"
# Interleavings are not what a mutation is about.
export REORDER_STRESS_BATCHES=${REORDER_STRESS_BATCHES-10000}
export REORDER_POOL_THREADS=${REORDER_POOL_THREADS-100}
if [ $# -eq 0 ]; then
    for file in ring producer consumer batch ticket pool; do
        set -- "$@" -f "reorder/src/$file.rs" -f "reorder/src/$file/*.rs"
    done
fi
cargo mutants -p reorder-ring --output "$target" --timeout 30 --no-shuffle --baseline skip "$@" -- \
    --lib --test ring --test pool --test wire --test progress
