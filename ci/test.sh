#!/usr/bin/env bash
# The tests of the two crates and the examples in their documentation. `cargo test` runs both.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo test
