#!/usr/bin/env bash
# Compares the dependencies with `deny.toml`:
#
# * Each dependency in the workspace has an allowed licence and comes from crates.io.
# * No user of the published crates gets two versions of a dependency.
# * No requirement of the published crates allows every version.
#
# Advisories need a download, so they are checked by hand: cargo deny check advisories
#
# cargo install cargo-deny --locked
set -euo pipefail
cd "$(dirname "$0")/.."

if ! cargo deny --version >/dev/null 2>&1; then
    echo "skipped: deny: cargo-deny is not installed"
    exit 0
fi

cargo deny --log-level error --workspace --all-features --locked check --hide-inclusion-graph \
    licenses sources
for crate in reorder executor; do
    cargo deny --log-level error --manifest-path "$crate/Cargo.toml" --all-features --exclude-dev \
        --locked check --hide-inclusion-graph bans
done
