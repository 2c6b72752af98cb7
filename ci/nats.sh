#!/usr/bin/env bash
# Tests the link over NATS JetStream against real servers on loopback: `ci/nats.sh [SECONDS]`.
#
# Meanwhile it kills workers, owners and servers while files are compressed, for 15 seconds or for
# SECONDS, in these forms at the same time:
#
# * one server;
# * a server that loses its storage;
# * three servers that keep replicas, of which the leader is killed and stopped, and each by turns;
# * processes in network namespaces, whose links are cut, where the machine allows that.
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

remote=(-q -p reorder-remote --features nats)
cargo build -q -p xtask
cargo build "${remote[@]}" --test nats --example remote_gzip
folder=$(mktemp -d)
end() {
    for process in $(jobs -p); do kill "$process" 2>/dev/null || true; done
    wait
    rm -rf "$folder"
}
trap end EXIT

# The forms and the tests mostly wait for their servers, so they run at the same time.
forms=("" "--lose-storage" "--nodes 3" "--cut-network")
processes=()
for form in "${forms[@]}"; do
    read -ra arguments <<<"--seconds ${1-15} $form"
    cargo xtask nats-kills "${arguments[@]}" >"$folder/form${#processes[@]}" 2>&1 &
    processes+=($!)
done

# A test that waits for a server without an end fails by this limit.
timeout 600 cargo test "${remote[@]}" --test nats -- --test-threads 8
# `cargo test` runs the other examples of the documentation.
cargo test "${remote[@]}" --doc nats
# Without a server, the workers are threads.
compress() {
    "${CARGO_TARGET_DIR:-target}/debug/examples/remote_gzip" --out "$folder/out" "$@" >/dev/null
}
compress Cargo.lock README.md
for file in Cargo.lock README.md; do gzip -dc "$folder/out/$file.gz" | cmp - "$file"; done
# An output that exists, other files than before, and no worker at all are errors.
refused() {
    if compress "$@" 2>/dev/null; then
        echo "nats: remote_gzip $* has not failed"
        exit 1
    fi
}
refused README.md
echo "1 100 0" >"$folder/out/.remote_gzip"
refused --resume README.md
refused --workers 0 CHANGELOG.md
# A reader that has ended takes away no output.
"${CARGO_TARGET_DIR:-target}/debug/examples/remote_gzip" --out "$folder/closed" README.md | true
gzip -dc "$folder/closed/README.md.gz" | cmp - README.md
echo "nats: the link works with $("$REORDER_NATS_SERVER" --version)"

failed=0
for index in "${!processes[@]}"; do
    wait "${processes[index]}" || failed=1
    cat "$folder/form$index"
done
exit "$failed"
