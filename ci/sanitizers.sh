#!/usr/bin/env bash
# Runs the tests of the ring, the executor and requests under AddressSanitizer. Runs the tests of
# the ring also under LeakSanitizer and ThreadSanitizer. `ci/miri.sh` runs Miri.
#
# Only the nightly toolchain has them. std is not instrumented, for that needs a build of std from
# `rust-src`. So ThreadSanitizer does not see synchronisation inside std, and it never sees fences.
# `ci/tsan.supp` lists the false reports that follow from this.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! cargo +nightly --version >/dev/null 2>&1; then
    echo "skipped: sanitizers: all of them need a nightly toolchain"
    exit 0
fi
host=$(rustc +nightly -vV | sed -n 's/^host: //p')
if [ "$host" != x86_64-unknown-linux-gnu ]; then
    echo "skipped: sanitizers: this script supports x86_64-unknown-linux-gnu only"
    exit 0
fi
target=${CARGO_TARGET_DIR:-target}/sanitizers

# run SANITIZER FLAGS CARGO-ARGUMENT...: runs tests under a sanitizer. Because of `--target`, build
# scripts and procedural macros are not instrumented.
run() {
    RUSTFLAGS="${RUSTFLAGS-} -Zsanitizer=$1 $2" \
        cargo +nightly test -q --target "$host" --target-dir "$target/$1" "${@:3}"
}

# Instrumented code is several times slower, so the stress tests run a tenth of their batches.
export REORDER_STRESS_BATCHES=${REORDER_STRESS_BATCHES-100000}
export REORDER_POOL_THREADS=${REORDER_POOL_THREADS-200}

# The allocator returns null to the test that asks for too much memory, and does not abort.
export ASAN_OPTIONS="detect_leaks=1 allocator_may_return_null=1 ${ASAN_OPTIONS-}"
export LSAN_OPTIONS="suppressions=$PWD/ci/lsan.supp:print_suppressions=0 ${LSAN_OPTIONS-}"
run address "" -p reorder-ring --lib --test '*'
# Tests of the executor and of requests forget handles on purpose, so they run without the leak
# check. Left out:
# - `out_of_memory`: the sanitizer would instrument its huge results byte by byte
# - `no_threads`: it limits the address space, of which a sanitizer needs much
# - tests that count bytes or allocations: they would count the sanitizer's allocations, too
# - `idle_cpu_time`: it measures processor time
left_out='out_of_memory|no_threads|allocations|leaks|steady_state_alloc|idle_cpu_time'
executor_tests=$(cd executor/tests && printf -- '--test %s\n' *.rs */main.rs |
    sed 's/\.rs$//; s/\/main$//' | grep -Ev " ($left_out)\$" | sort)
# shellcheck disable=SC2086 # they are words
ASAN_OPTIONS="$ASAN_OPTIONS:detect_leaks=0" run address "" -p reorder-executor --all-features \
    --lib $executor_tests
ASAN_OPTIONS="$ASAN_OPTIONS:detect_leaks=0" run address "" -p reorder-requests --all-features \
    --lib --test calls --test tracing_panics --test tracing_spans
echo "sanitizers: AddressSanitizer with three crates, LeakSanitizer with the ring: ok"

TSAN_OPTIONS="halt_on_error=1 allocator_may_return_null=1 ${TSAN_OPTIONS-}"
export TSAN_OPTIONS="suppressions=$PWD/ci/tsan.supp $TSAN_OPTIONS"
# The flag allows a std without instrumentation. Older nightlies do not have it and do not need it.
abi=
rustc +nightly -Cunsafe-allow-abi-mismatch=sanitizer --print cfg >/dev/null 2>&1 &&
    abi=-Cunsafe-allow-abi-mismatch=sanitizer
# ThreadSanitizer would give false reports in two kinds of tests, which are left out. The async
# tests need a runtime, whose synchronisation it does not see. In the stress tests of the pool,
# threads pass tickets and permits under locks of std, and the pool frees rings behind fences.
run thread "$abi" -p reorder-ring --lib --test ring --test pool -- \
    --skip stress:: --skip stopped::
echo "sanitizers: ThreadSanitizer: ok"
