#!/usr/bin/env bash
# Counts the instructions of each operation of the ring and the pool under callgrind. None may grow
# beyond `ci/instructions.txt`. Then it counts in a copy of the source with the fault in
# `faults/instructions.toml`, which must not pass.
#
#   ci/instructions.sh            compares
#   ci/instructions.sh --renew    writes the baseline: commit it with the change that made it
set -euo pipefail
cd "$(dirname "$0")/.."

cargo xtask instructions "$@"
