#!/usr/bin/env bash
# Checks all crates with `panic = "abort"`. They build, and an example of the ring runs. A panic in
# a job of the executor ends the process instead of the item, as the documentation says.
set -euo pipefail
cd "$(dirname "$0")/.."

target=$(realpath -m "${CARGO_TARGET_DIR:-target}")/abort
abort=(--config 'profile.dev.panic="abort"' --target-dir "$target")

cargo build -q "${abort[@]}" -p reorder-ring -p reorder-executor -p reorder-requests \
    --all-features --lib
cargo build -q "${abort[@]}" -p reorder-remote --lib
# The other examples panic on purpose.
cargo run -q "${abort[@]}" -p reorder-ring --all-features --example message_consumer >/dev/null
echo "abort: all crates build, and the ring's example message_consumer runs"

rustc --edition 2024 -C panic=abort -o "$target/probe" ci/abort_probe.rs \
    --extern reorder_executor="$target/debug/libreorder_executor.rlib" \
    -L dependency="$target/debug/deps"
"$target/probe"
status=0
output=$(ulimit -c 0 && "$target/probe" panic 2>/dev/null) || status=$?
# 134 is 128 plus the number of SIGABRT.
if [ $status -ne 134 ] || [ -n "$output" ]; then
    echo "abort: a job that panics must end the process with status 134 and no output"
    echo "abort: the status is $status, and the output is '$output'"
    exit 1
fi
echo "abort: a job that panics ends the process"
