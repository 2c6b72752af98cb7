#!/usr/bin/env bash
# Reads the machine code of the hot paths: one atomic read-modify-write per item, and no loop. Then
# it reads the code of copies with the faults in `faults/assembly.toml`, which must not pass.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo xtask asm
