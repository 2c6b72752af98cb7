#!/usr/bin/env bash
# The benches compile and run, with samples too short to mean anything; and sides that wait for
# each other lose no wake-up; and all peers of `compare` bring the right results. For figures:
# cargo bench -p benches
# cargo run --release -p benches --bin compare
# cargo run --release -p benches --bin waiting
# cargo run --release -p benches --bin fairness
set -euo pipefail
cd "$(dirname "$0")/.."

cargo bench -q -p benches --benches -- --quick --warm-up-time 0.1 --measurement-time 0.3 "$@"
cargo test -q --profile bench -p benches --bin waiting
# In the profile of the benches, so that nothing is built twice.
cargo run -q --profile bench -p benches --bin waiting -- --items 200000
cargo run -q --profile bench -p benches --bin fairness -- --turns 1 --batches 50
cargo test -q --profile bench -p benches --lib
cargo run -q --profile bench -p benches --bin compare -- --quick
