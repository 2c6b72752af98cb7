#!/usr/bin/env bash
# Serves 16 clients with 1, 2 and 8 workers, and checks every outcome: `ci/service.sh MINUTES
# [--seed N]`. It runs for MINUTES with each number of workers.
#
# The program prints the seed, the numbers of calls and outcomes, the longest wait of a call and the
# growth of the memory.
#
# Without arguments, it runs for a few seconds. Then it runs with faults of its own, and must fail.
set -euo pipefail
cd "$(dirname "$0")/.."

# The flags and the target directory are those of `ci/soak.sh`, so that both share one build.
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")/hooks
mkdir -p "$target"
RUSTFLAGS="${RUSTFLAGS-} --cfg reorder_hooks" CARGO_TARGET_DIR=$target \
    cargo build -q --release -p reorder-stress --bin service

# The program ends itself if a call hangs. The limit is for its own end.
minutes=${1-0.1}
seconds=$(awk -v minutes="$minutes" 'BEGIN { print int(3 * minutes * 60) + 600 }')
status=0
timeout "$seconds" "$target/release/service" "$minutes" "${@:2}" || status=$?
[ $status -ne 124 ] || echo "service: the program hangs"
if [ $status -ne 0 ] || [ $# -gt 0 ]; then
    exit $status
fi

# notices FAULT TEXT: the program with the fault fails, with the text.
notices() {
    local log=$target/service-$1.log
    if RUST_BACKTRACE=0 timeout 300 "$target/release/service" 0.01 --workers 2 --fault "$1" \
        >"$log" 2>&1; then
        echo "service: the fault $1 survives"
        exit 1
    fi
    if ! grep -q "$2" "$log"; then
        tail -n 40 "$log"
        echo "service: the fault $1 is not the reason for the failure"
        exit 1
    fi
    echo "service: the fault $1 is noticed"
}

notices swapped 'should be'
notices repeated 'runs too often'
notices leaked 'an item or a result is left'
notices growing 'the memory grew'
notices thread 'a thread is left'
notices stuck 'starves'
