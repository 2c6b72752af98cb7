#!/usr/bin/env bash
# The ring's tests under AddressSanitizer (with LeakSanitizer), ThreadSanitizer and Miri.
#
# Only the nightly toolchain has them. std comes without instrumentation (there is no `rust-src`
# to build it from), so ThreadSanitizer does not see the synchronisation inside of std, and it
# does not see fences anywhere: `ci/tsan.supp` says which reports that explains.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! cargo +nightly --version >/dev/null 2>&1; then
    echo "skipped: sanitizers: AddressSanitizer, ThreadSanitizer and Miri: there is no nightly toolchain"
    exit 0
fi
host=$(rustc +nightly -vV | sed -n 's/^host: //p')
if [ "$host" != x86_64-unknown-linux-gnu ]; then
    echo "skipped: sanitizers: this script knows them on x86_64-unknown-linux-gnu only"
    exit 0
fi
target=${CARGO_TARGET_DIR:-target}/sanitizers

# `--target` keeps build scripts and procedural macros from being instrumented, too.
run() {
    RUSTFLAGS="${RUSTFLAGS-} -Zsanitizer=$1" \
        cargo +nightly test -q -p reorder-ring --tests --target "$host" --target-dir "$target/$1"
}

export ASAN_OPTIONS="detect_leaks=1 ${ASAN_OPTIONS-}"
run address
echo "sanitizers: AddressSanitizer and LeakSanitizer: ok"

export TSAN_OPTIONS="suppressions=$PWD/ci/tsan.supp halt_on_error=1 ${TSAN_OPTIONS-}"
run thread
echo "sanitizers: ThreadSanitizer: ok"

if cargo +nightly miri --version >/dev/null 2>&1; then
    MIRIFLAGS="-Zmiri-tree-borrows ${MIRIFLAGS-}" \
        cargo +nightly miri test -q -p reorder-ring --tests --target-dir "$target/miri"
    echo "sanitizers: Miri: ok"
else
    echo "skipped: sanitizers: Miri: the nightly toolchain does not have it"
fi
