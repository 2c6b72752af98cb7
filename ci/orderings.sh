#!/usr/bin/env bash
# Weakens each order that is stronger than relaxed, one half at a time. A model of its pair in
# `docs/orderings.toml` has to fail, or the file has an argument.
#
# Loom's atomics do the weakening. They know an access by its place in the source, so one build is
# enough.
# Arguments select labels: `ci/orderings.sh take:vacate`.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo xtask orderings run "$@"
