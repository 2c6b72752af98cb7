#!/usr/bin/env bash
# Counts how often cache lines move between the cores of a simulated machine with 2 to 64 threads.
# No count may grow by more than a quarter beyond `loom-tests/lines.txt`. Prints the hottest line of
# each workload. Then tries each fault of `faults/lines.toml` in a copy of the source, unless the
# first argument is `--count`. Other arguments select faults.
#
#   ci/lines.sh --renew    writes the limits: commit them with the change that made them
set -euo pipefail
cd "$(dirname "$0")/.."

target=$(realpath -m "${CARGO_TARGET_DIR:-target}")/lines
mkdir -p "$target"
case "${1-}" in
--renew) export REORDER_RENEW_LINES=1 ;;
--count | "") ;;
*)
    cargo xtask faults run lines "$@"
    exit
    ;;
esac

if ! RUSTFLAGS="${RUSTFLAGS-} --cfg reorder_shuttle --cfg reorder_hooks" CARGO_TARGET_DIR=$target \
    timeout 600 cargo test -q --release -p loom-tests --test lines -- --nocapture \
    >"$target/log" 2>&1; then
    tail -n 200 "$target/log"
    echo "lines: a count grew; with a reason, run ci/lines.sh --renew, and say it in the commit"
    exit 1
fi
grep -oE '(lines|skipped): .*' "$target/log"
grep -E '^test result: ok. [1-9]' "$target/log" >/dev/null || { echo "lines: no test ran"; exit 1; }
sed -n '/^# threads/,/^$/p' "$target/log"
if [ $# -eq 0 ]; then
    cargo xtask faults run lines
fi
