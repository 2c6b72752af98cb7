#!/usr/bin/env bash
# Checks other machines: 32 bits, the other order of bytes, and other systems. A machine without
# 64-bit atomics must get the error of the crate.
#
# * For targets whose std rustup has, both crates are checked with all features.
# * The refusal needs a `core` for such a target, and makes it from the component `rust-src`.
# * Miri runs the ring's unit tests as if on a machine of 32 bits and on a big-endian machine. It
#   needs the nightly toolchain with `rust-src`.
set -euo pipefail
cd "$(dirname "$0")/.."

target=${CARGO_TARGET_DIR:-target}/targets

has_std() { rustc --print target-libdir --target "$1" 2>/dev/null | xargs -I{} test -d {}; }
others=(i686-unknown-linux-gnu x86_64-pc-windows-gnu aarch64-apple-darwin wasm32-unknown-unknown)
for other in "${others[@]}"; do
    has_std "$other" || rustup target add "$other" >/dev/null 2>&1 || true
    if has_std "$other"; then
        cargo check -q --locked -p reorder-ring -p reorder-executor --all-features \
            --target "$other" --target-dir "$target"
        echo "targets: both crates build for $other"
    else
        echo "skipped: targets: $other: its std is not installed, nor to be had"
    fi
done

# bare TARGET: the ring without std, with a `core` made for it.
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
        echo "targets: thumbv7m-none-eabi has no 64-bit atomics, and the ring builds for it"
        exit 1
    fi
    if ! grep -m 1 '^error' "$target/log" | grep -q 'reorder-ring needs 64-bit atomics'; then
        cat "$target/log"
        echo "targets: thumbv7m-none-eabi is refused, but not first of all with our reason"
        exit 1
    fi
    echo "targets: thumbv7m-none-eabi is refused, since it has no 64-bit atomics"
else
    echo "skipped: targets: bare ones: there is no rust-src to build their core from"
fi

if ! cargo +nightly miri --version >/dev/null 2>&1 ||
    [ ! -d "$(rustc +nightly --print sysroot)/lib/rustlib/src" ]; then
    echo "skipped: targets: runs: the nightly toolchain has no Miri, or no rust-src"
    exit 0
fi
for other in i686-unknown-linux-gnu s390x-unknown-linux-gnu; do
    # Without the pool, whose epochs take Miri minutes.
    MIRIFLAGS="-Zmiri-tree-borrows ${MIRIFLAGS-}" cargo +nightly miri test -q -p reorder-ring \
        --no-default-features --features std --lib --target "$other" --target-dir "$target"
    echo "targets: the ring passes its unit tests on $other, by Miri"
done
