#!/usr/bin/env bash
# Runs the long forms of the checks of `.ci/run`, which take hours: for the time before a release.
#
# `ci/deep.sh NAME...` runs these steps only, and `ci/deep.sh --list` prints the names of all.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo xtask deep "$@"
