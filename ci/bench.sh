#!/usr/bin/env bash
# The benches compile and run, with samples too short to mean anything. For figures:
# cargo bench -p benches
set -euo pipefail
cd "$(dirname "$0")/.."

cargo bench -q -p benches --benches -- --quick "$@"
