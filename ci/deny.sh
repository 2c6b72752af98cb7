#!/usr/bin/env bash
# What the crates depend on is what `deny.toml` admits: everything in the workspace has a licence that
# may be used and comes from crates.io, and what a user of the published crates gets has no second
# version of anything, nor a requirement that any version meets. Advisories are left to who can fetch
# them: cargo deny check advisories
#
# cargo install cargo-deny --locked
set -euo pipefail
cd "$(dirname "$0")/.."

if ! cargo deny --version >/dev/null 2>&1; then
    echo "skipped: deny: cargo-deny is not installed"
    exit 0
fi

cargo deny --log-level error --workspace --all-features --locked check --hide-inclusion-graph licenses sources
for crate in reorder executor; do
    cargo deny --log-level error --manifest-path "$crate/Cargo.toml" --all-features --exclude-dev --locked \
        check --hide-inclusion-graph bans
done
