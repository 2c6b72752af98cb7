#!/usr/bin/env bash
# Checks the packages that `cargo publish` would upload. Nothing is uploaded.
#
# * All crates build from their packages, with the packaged crates below them. cargo prints no
#   warning.
# * The packages have the right files, and no others.
# * Unpacked outside the repository, all crates pass all their tests. `parallel_gzip` reads only the
#   files of its package.
#
# With `--contents`, the script does not build and test the unpacked crates.
set -euo pipefail
cd "$(dirname "$0")/.."

target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
crates=(reorder-ring reorder-executor reorder-requests reorder-remote)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

fail() {
    echo "package: $*"
    exit 1
}

# cargo treats the other crates as published when it builds one.
cargo package -q --locked --allow-dirty "${crates[@]/#/-p}" 2>"$folder/log" ||
    fail "$(cat "$folder/log")"
! grep . "$folder/log" || fail "cargo prints a warning"

for crate in "${crates[@]}"; do
    mkdir "$folder/$crate"
    # With the time of now (`m`): cargo compares times, and all files of a package have the same.
    tar -xmzf "$target/package/$crate-$version.crate" -C "$folder/$crate" --strip-components 1
    echo "package: $crate: $(wc -c <"$target/package/$crate-$version.crate") bytes packed"
done
cargo xtask package "${crates[@]/#/$folder/}"

[ "${1-}" != --contents ] || exit 0

# No crate is published yet, so the unpacked crates use those beside them.
cat >"$folder/Cargo.toml" <<END
[workspace]
resolver = "3"
members = ["${crates[0]}", "${crates[1]}", "${crates[2]}", "${crates[3]}"]
[patch.crates-io]
reorder-ring = { path = "reorder-ring" }
reorder-executor = { path = "reorder-executor" }
$(sed -n '/^\[profile.dev\]/,/^$/p; /^\[profile.dev.package.reorder-remote\]/,/^$/p' Cargo.toml)
END
cp Cargo.lock "$folder"
cd "$folder"
# The dependencies are built already, with the same profile.
export CARGO_TARGET_DIR=$target
# `cargo test` in the repository opens many batches. Here, the tests only have to run.
REORDER_STRESS_BATCHES=${REORDER_STRESS_BATCHES-10000} cargo test -q
echo "package: the tests of all unpacked crates pass"

own=$(find reorder-executor -regex '.*\.\(rs\|md\|toml\|lock\|sh\)' | wc -l)
cargo run -q -p reorder-executor --example parallel_gzip </dev/null >"$folder/log" 2>&1 ||
    fail "$(cat "$folder/log")"
grep -q "^$own of $own files checked" "$folder/log" ||
    fail "parallel_gzip must read the $own files of its package: $(tail -n 1 "$folder/log")"
echo "package: parallel_gzip reads the $own files of its package"
