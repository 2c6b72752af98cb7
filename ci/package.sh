#!/usr/bin/env bash
# Checks the packages that `cargo publish` would upload. It uploads nothing.
#
# * Both crates build from their packages, the executor with the packaged ring. Cargo prints no
#   warning.
# * The packages have the files that a user needs, and no others.
# * Unpacked, away from the repository, they pass all of their tests. `parallel_gzip` reads its own
#   package only.
set -euo pipefail
cd "$(dirname "$0")/.."

target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
crates=(reorder-ring reorder-executor)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

fail() {
    echo "package: $*"
    exit 1
}

# Cargo offers the ring to the executor as if it were published already.
cargo package -q --locked --allow-dirty -p "${crates[0]}" -p "${crates[1]}" 2>"$folder/log" ||
    fail "$(cat "$folder/log")"
! grep . "$folder/log" || fail "cargo has something to remark"

for crate in "${crates[@]}"; do
    mkdir "$folder/$crate"
    tar -xzf "$target/package/$crate-$version.crate" -C "$folder/$crate" --strip-components 1
    echo "package: $crate: $(wc -c <"$target/package/$crate-$version.crate") bytes packed"
done
cargo xtask package "$folder/${crates[0]}" "$folder/${crates[1]}"

# The executor finds no published ring, so they are put side by side.
[ "${1-}" != --contents ] || exit 0

cat >"$folder/Cargo.toml" <<END
[workspace]
resolver = "3"
members = ["${crates[0]}", "${crates[1]}"]
[patch.crates-io]
reorder-ring = { path = "reorder-ring" }
$(sed -n '/^\[profile.dev\]/,/^$/p' Cargo.toml)
END
cp Cargo.lock "$folder"
cd "$folder"
# The dependencies of both are built already, with the same profile.
export CARGO_TARGET_DIR=$target
# Reopened batches are as many in `cargo test`; here it is about what is there to be tested.
REORDER_STRESS_BATCHES=${REORDER_STRESS_BATCHES-10000} cargo test -q
echo "package: the tests of both pass where they are unpacked"

own=$(find reorder-executor -regex '.*\.\(rs\|md\|toml\|lock\|sh\)' | wc -l)
cargo run -q -p reorder-executor --example parallel_gzip >"$folder/log" 2>&1 ||
    fail "$(cat "$folder/log")"
grep -q "^$own of $own files checked" "$folder/log" ||
    fail "parallel_gzip is to read the $own files of its package: $(tail -n 1 "$folder/log")"
echo "package: parallel_gzip reads the $own files of its package"
