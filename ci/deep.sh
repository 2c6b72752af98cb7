#!/usr/bin/env bash
# Runs the long forms of the checks of `.ci/run`, which take hours: for the time before a release.
#
# `ci/deep.sh NAME...` runs these steps only, and `ci/deep.sh --list` prints the names of all.
set -uo pipefail
cd "$(dirname "$0")/.."

# Twice the preemptions of most models; those that explore all of them do so anyway.
loom() { LOOM_MAX_PREEMPTIONS=${LOOM_MAX_PREEMPTIONS-4} ci/loom.sh; }
linearizable() { REORDER_HISTORIES=200000 ci/linearizable.sh; }
schedules() { REORDER_SCHEDULES=100000 ci/schedules.sh; }
sanitizers() { REORDER_STRESS_BATCHES=1000000 REORDER_POOL_THREADS=2000 ci/sanitizers.sh; }
fuzz() { ci/fuzz.sh 1800; }
soak() { ci/soak.sh 60 --seed "$RANDOM"; }
soak_with_address_sanitizer() {
    RUSTFLAGS="-Zsanitizer=address --cfg reorder_hooks" ASAN_OPTIONS=detect_leaks=1 \
        cargo +nightly run -q --release --target "$(rustc -vV | sed -n 's/^host: //p')" -p reorder-stress --bin soak -- 10
}
waiting() { cargo run --release -p benches --bin waiting; }
mutants() { ci/mutants.sh; }

steps=(loom linearizable schedules sanitizers fuzz soak soak_with_address_sanitizer waiting mutants)
if [ "${1-}" = --list ]; then
    printf '%s\n' "${steps[@]}"
    exit 0
fi

failed=()
for step in "${@:-${steps[@]}}"; do
    start=$SECONDS
    "$step" || failed+=("$step")
    echo "=== deep: $step, $((SECONDS - start)) s"
done
[ ${#failed[@]} -eq 0 ] || { echo "deep: FAILED: ${failed[*]}"; exit 1; }
