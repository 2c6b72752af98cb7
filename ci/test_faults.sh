#!/usr/bin/env bash
# Tries each fault of `ring_tests.toml`, `executor_tests.toml` and `requests_tests.toml`, all in
# `faults`, in a copy of the source. The test that its entry names must fail there. `ci/test.sh`
# runs the tests themselves.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo xtask faults run ring_tests
cargo xtask faults run executor_tests
cargo xtask faults run requests_tests
