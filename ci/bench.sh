#!/usr/bin/env bash
# Runs each bench once, without measuring. Checks that no wake-up is lost between a producer and a
# consumer that wait for each other, and that all peers of `compare` return the right results.
#
# For figures, run one of these:
#
#     cargo bench -p benches
#     cargo run --release -p benches --bin compare
#     cargo run --release -p benches --bin waiting
#     cargo run --release -p benches --bin fairness
#     cargo run --release -p benches --bin by_key
#     cargo run --release -p benches --bin hedging
set -euo pipefail
cd "$(dirname "$0")/.."

cargo bench -q -p benches --benches -- --test "$@"
cargo test -q --profile bench -p benches --bin waiting
# The profile of the benches, so the crates are not built again.
cargo run -q --profile bench -p benches --bin waiting -- --items 200000
cargo run -q --profile bench -p benches --bin fairness -- --rounds 1 --batches 200
cargo run -q --profile bench -p benches --bin by_key -- --rounds 1 --items 20000 --keys 2000
cargo run -q --profile bench -p benches --bin hedging -- --calls 500 --slow 200
cargo test -q --profile bench -p benches --lib
cargo run -q --profile bench -p benches --bin compare -- --quick
