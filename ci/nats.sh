#!/usr/bin/env bash
# Tests the link over NATS JetStream against real servers on loopback: `ci/nats.sh [SECONDS]`.
#
# Then it kills workers, owners and servers while files are compressed, for SECONDS. Each of these
# forms takes a quarter of this time:
#
# * one server;
# * a server that loses its storage;
# * processes in network namespaces, whose links are cut, where the machine allows that;
# * three servers that keep replicas, of which the leader is killed and stopped, and each by turns.
#
# Without SECONDS, each of the first three takes 15 seconds, and the last one is left out: the
# elections of a cluster take too long for that.
#
# A form that takes a minute or longer fails if it had too few kills, stops or cuts.
#
# It needs the program `nats-server`, or its path in REORDER_NATS_SERVER. If the program is missing,
# the script unpacks Debian's package into the target directory. It installs nothing.
set -euo pipefail
cd "$(dirname "$0")/.."

unpacked=${CARGO_TARGET_DIR:-target}/nats-server
find_server() {
    PATH=$PATH:/usr/sbin:$unpacked/usr/bin:$unpacked/usr/sbin \
        command -v "${REORDER_NATS_SERVER:-nats-server}"
}
# The download takes no lock. It fails if there is no network or no list of packages.
unpack_server() {
    mkdir -p "$unpacked" && cd "$unpacked" && rm -f nats-server_*.deb &&
        timeout -k 10 120 apt-get -qq download nats-server && dpkg-deb -x nats-server_*.deb .
}
if ! find_server >/dev/null && [ -z "${REORDER_NATS_SERVER-}" ]; then
    (unpack_server) >/dev/null 2>&1 </dev/null || true
fi
if ! server=$(find_server); then
    echo "skipped: nats: nats-server is not installed (Debian: apt-get install nats-server)"
    exit 0
fi
REORDER_NATS_SERVER=$(realpath "$server")
export REORDER_NATS_SERVER

# A test that waits for a server without an end fails by this limit.
cargo test -q -p reorder-remote --features nats --test nats --no-run
timeout 600 cargo test -q -p reorder-remote --features nats --test nats
cargo test -q -p reorder-remote --features nats --doc
# Without a server, the workers are threads.
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cargo build -q -p reorder-remote --features nats --example remote_gzip
compress() {
    "${CARGO_TARGET_DIR:-target}/debug/examples/remote_gzip" --out "$folder" "$@" >/dev/null
}
compress Cargo.lock README.md
for file in Cargo.lock README.md; do gzip -dc "$folder/$file.gz" | cmp - "$file"; done
# An output that exists, other files than before, and no worker at all are errors.
refused() {
    if compress "$@" 2>/dev/null; then
        echo "nats: remote_gzip $* has not failed"
        exit 1
    fi
}
refused README.md
echo "1 100 0" >"$folder/.remote_gzip"
refused --resume README.md
refused --workers 0 CHANGELOG.md
# A reader that has ended takes away no output.
"${CARGO_TARGET_DIR:-target}/debug/examples/remote_gzip" --out "$folder/closed" README.md | true
gzip -dc "$folder/closed/README.md.gz" | cmp - README.md
echo "nats: the link works with $("$REORDER_NATS_SERVER" --version)"

quarter=$((${1-60} / 4))
cargo xtask nats-kills --seconds "$quarter"
cargo xtask nats-kills --seconds "$quarter" --lose-storage
cargo xtask nats-kills --seconds "$quarter" --cut-network
if [ $# -gt 0 ]; then
    cargo xtask nats-kills --seconds "$quarter" --nodes 3
fi
