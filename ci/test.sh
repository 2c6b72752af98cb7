#!/usr/bin/env bash
# Runs the tests of the crates and the examples in their documentation.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo test
