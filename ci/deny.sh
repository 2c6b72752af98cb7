#!/usr/bin/env bash
# Checks the dependencies against `deny.toml`:
#
# * All dependencies of the workspace have an accepted licence and come from crates.io.
# * The dependencies of the published crates have no duplicate versions and no `*` requirements.
#
# Advisories need the network, so they are not checked here: cargo deny check advisories
#
# To install the tool: cargo install cargo-deny --locked
set -euo pipefail
cd "$(dirname "$0")/.."

if ! cargo deny --version >/dev/null 2>&1; then
    echo "skipped: deny: cargo-deny is not installed"
    exit 0
fi

deny=(cargo deny --log-level error --all-features --locked)
"${deny[@]}" --workspace check --hide-inclusion-graph licenses sources
for crate in reorder executor requests; do
    "${deny[@]}" --manifest-path "$crate/Cargo.toml" --exclude-dev check --hide-inclusion-graph bans
done
# Without the client of NATS, which brings versions of its own.
cargo deny --log-level error --locked --manifest-path remote/Cargo.toml --exclude-dev \
    check --hide-inclusion-graph bans
