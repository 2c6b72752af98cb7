#!/usr/bin/env bash
# Tests the link over NATS JetStream against real servers on loopback: `ci/nats.sh [SECONDS]`.
#
# Then it kills workers, owners and servers while files are compressed, for 60 seconds or for
# SECONDS. A third of this time is for a server that loses its storage, and a third for three
# servers that keep replicas.
#
# It needs the program `nats-server`. Where the script runs as root, and Debian's packages are
# there, it installs the program.
set -euo pipefail
cd "$(dirname "$0")/.."

find_server() { PATH=$PATH:/usr/sbin command -v nats-server; }
if ! find_server >/dev/null && [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
    apt-get install -y -qq nats-server >/dev/null 2>&1 || true
fi
if ! REORDER_NATS_SERVER=$(find_server); then
    echo "skipped: nats: nats-server is not installed (Debian: apt-get install nats-server)"
    exit 0
fi
export REORDER_NATS_SERVER

# A test that waits for a server without an end fails by this limit.
cargo test -q -p reorder-remote --features nats --test nats --no-run
timeout 600 cargo test -q -p reorder-remote --features nats --test nats
cargo test -q -p reorder-remote --features nats --doc
# Without a server, the workers are threads.
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cargo run -q -p reorder-remote --features nats --example remote_gzip -- \
    --out "$folder" Cargo.lock README.md >/dev/null
for file in Cargo.lock README.md; do gzip -dc "$folder/$file.gz" | cmp - "$file"; done
echo "nats: the link works with $("$REORDER_NATS_SERVER" --version)"

third=$((${1-60} / 3))
cargo xtask nats-kills --seconds "$third"
cargo xtask nats-kills --seconds "$third" --lose-storage
cargo xtask nats-kills --seconds "$third" --nodes 3
