#!/usr/bin/env bash
# Compares the public items of the crates with `docs/api`, and with the last release that is tagged.
# `ci/api.sh --renew` writes the listings.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo xtask api "$@"
