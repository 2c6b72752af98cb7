#!/usr/bin/env bash
# What can be said about the source without running it: format, lints, documentation, labels,
# lengths of files.
set -euo pipefail
cd "$(dirname "$0")/.."

# `cargo fmt` asks the build for the modules, so those that only a cfg brings are formatted as well.
cargo fmt --all --check
echo "tidy: format: ok"

cargo clippy -q --workspace --all-targets --all-features -- -D warnings
# The models are another program: other primitives, other modules. A target directory of its own
# keeps the change of flags from rebuilding the rest.
RUSTFLAGS="${RUSTFLAGS-} --cfg reorder_loom --cfg crossbeam_loom" \
    cargo clippy -q -p reorder-ring -p loom-tests --all-targets \
    --target-dir "${CARGO_TARGET_DIR:-target}/tidy-loom" -- -D warnings
RUSTFLAGS="${RUSTFLAGS-} --cfg reorder_hooks" \
    cargo clippy -q -p reorder-ring --lib --test progress -p reorder-stress --test linearizable \
    --target-dir "${CARGO_TARGET_DIR:-target}/tidy-hooks" -- -D warnings
RUSTFLAGS="${RUSTFLAGS-} --cfg reorder_shuttle" \
    cargo clippy -q -p reorder-executor --lib --test schedules \
    --target-dir "${CARGO_TARGET_DIR:-target}/tidy-shuttle" -- -D warnings
echo "tidy: clippy, with and without loom, with hooks, and with shuttle: ok"

RUSTDOCFLAGS="${RUSTDOCFLAGS-} -D warnings" cargo doc -q --no-deps --workspace --all-features
echo "tidy: documentation: ok"

cargo test -q -p xtask
cargo xtask layers
cargo xtask layers --self-test
cargo xtask labels
cargo xtask orderings check
cargo xtask faults check
cargo xtask bounds check

limit=420
# Outside of a git checkout (an unpacked package) every file counts.
{ git ls-files '*.rs' 2>/dev/null || find . -name '*.rs' -not -path './target/*'; } |
    while IFS= read -r file; do
        [ ! -f "$file" ] || wc -l "$file"
    done | awk -v limit=$limit '
        $1 > limit { print "tidy: " $2 " has " $1 " lines; the limit is " limit; bad = 1 }
        END { exit bad }'
echo "tidy: no file of more than $limit lines"
