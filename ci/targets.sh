#!/usr/bin/env bash
# Checks other targets than this machine: 32-bit, big-endian, and other systems. On a target without
# 64-bit atomics, the build of the ring must fail with our message.
#
# * If rustup has the std of a target, all crates are checked with all features but `nats`.
# * For bare targets, cargo builds `core` from the component `rust-src`.
# * If the nightly toolchain has Miri and `rust-src`, Miri runs the unit tests of the ring on a
#   32-bit and on a big-endian target.
set -euo pipefail
cd "$(dirname "$0")/.."

target=${CARGO_TARGET_DIR:-target}/targets

has_std() { rustc --print target-libdir --target "$1" 2>/dev/null | xargs -I{} test -d {}; }
targets=(i686-unknown-linux-gnu x86_64-pc-windows-gnu aarch64-apple-darwin wasm32-unknown-unknown)
for other in "${targets[@]}"; do
    has_std "$other" || rustup target add "$other" >/dev/null 2>&1 || true
    if has_std "$other"; then
        cargo check -q --locked -p reorder-ring -p reorder-executor -p reorder-requests \
            --all-features --target "$other" --target-dir "$target"
        cargo check -q --locked -p reorder-remote --target "$other" --target-dir "$target"
        echo "targets: all crates build for $other"
    else
        echo "skipped: targets: $other: rustup cannot install its std"
    fi
done

# bare TARGET: checks the ring without std, with a `core` built for the target.
bare() {
    RUSTC_BOOTSTRAP=1 cargo check -q --locked -Zbuild-std=core,alloc -p reorder-ring \
        --no-default-features --features stream,serde --target "$1" --target-dir "$target"
}
sources=$(rustc --print sysroot)/lib/rustlib/src/rust/library/Cargo.lock
[ -f "$sources" ] || rustup component add rust-src >/dev/null 2>&1 || true
if [ -f "$sources" ]; then
    bare armebv7r-none-eabihf
    echo "targets: the ring builds for armebv7r-none-eabihf: big-endian, 32 bits, no std"
    if bare thumbv7m-none-eabi 2>"$target/log"; then
        echo "targets: thumbv7m-none-eabi has no 64-bit atomics, but the ring builds for it"
        exit 1
    fi
    if ! grep -m 1 '^error' "$target/log" | grep -q 'reorder-ring needs 64-bit atomics'; then
        cat "$target/log"
        echo "targets: the build for thumbv7m-none-eabi fails, but not with our message first"
        exit 1
    fi
    echo "targets: thumbv7m-none-eabi is refused, since it has no 64-bit atomics"
else
    echo "skipped: targets: bare targets: there is no rust-src to build core from"
fi

if ! cargo +nightly miri --version >/dev/null 2>&1 ||
    [ ! -d "$(rustc +nightly --print sysroot)/lib/rustlib/src" ]; then
    echo "skipped: targets: runs: the nightly toolchain has no Miri, or no rust-src"
    exit 0
fi
for other in i686-unknown-linux-gnu s390x-unknown-linux-gnu; do
    # Without the feature `pool`, whose tests take minutes under Miri.
    MIRIFLAGS="-Zmiri-tree-borrows ${MIRIFLAGS-}" cargo +nightly miri test -q -p reorder-ring \
        --no-default-features --features std --lib --target "$other" --target-dir "$target"
    echo "targets: the ring passes its unit tests on $other under Miri"
done
