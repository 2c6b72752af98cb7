#!/usr/bin/env bash
# Changes the code of the ring by one mutation at a time. The tests of the ring should fail each
# time.
#
# It takes an hour or more. `docs/verification.md` discusses the mutations that survive. Arguments
# are arguments of cargo-mutants, such as `-f reorder/src/ring/tag.rs`.
#
# To install the tool: cargo install cargo-mutants --locked
set -euo pipefail
cd "$(dirname "$0")/.."

if ! cargo mutants --version >/dev/null 2>&1; then
    echo "skipped: mutants: cargo-mutants is not installed"
    exit 0
fi
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")/mutants
mkdir -p "$target"
# With hooks, the tests of step bounds notice mutations that change no answer.
export RUSTFLAGS="${RUSTFLAGS-} --cfg reorder_hooks"
# Mutations change the logic, so few interleavings are enough.
export REORDER_STRESS_BATCHES=${REORDER_STRESS_BATCHES-10000}
export REORDER_POOL_THREADS=${REORDER_POOL_THREADS-100}
if [ $# -eq 0 ]; then
    for file in ring producer consumer batch ticket pool; do
        set -- "$@" -f "reorder/src/$file.rs" -f "reorder/src/$file/*.rs"
    done
fi
cargo mutants -p reorder-ring --output "$target" --timeout 30 --no-shuffle --baseline skip "$@" -- \
    --lib --test ring --test pool --test wire --test progress
