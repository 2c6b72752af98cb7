#!/usr/bin/env bash
# The benches compile and run, each once; and sides that wait for
# each other lose no wake-up; and all peers of `compare` bring the right results. For figures:
# cargo bench -p benches
# cargo run --release -p benches --bin compare
# cargo run --release -p benches --bin waiting
# cargo run --release -p benches --bin fairness
set -euo pipefail
cd "$(dirname "$0")/.."

cargo bench -q -p benches --benches -- --test "$@"
cargo test -q --profile bench -p benches --bin waiting
# In the profile of the benches, so that nothing is built twice.
cargo run -q --profile bench -p benches --bin waiting -- --items 200000
cargo run -q --profile bench -p benches --bin fairness -- --rounds 1 --batches 200
cargo test -q --profile bench -p benches --lib
cargo run -q --profile bench -p benches --bin compare -- --quick
