//! The table of steps.

/// One step: its name, and the line of bash that runs it in the root of the repository.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) name: &'static str,
    pub(super) command: &'static str,
    /// `true` if the step may run beside the others: it builds in a folder that only such steps
    /// use, and it measures no time.
    pub(super) beside: bool,
}

const fn step(name: &'static str, command: &'static str) -> Step {
    Step { name, command, beside: false }
}

const fn beside(name: &'static str, command: &'static str) -> Step {
    Step { name, command, beside: true }
}

/// The steps of every change, for 15 minutes on two idle processors. The README's test command
/// comes first. A step that is short here is in [`DEEP`] in its whole length.
pub(super) const CI: &[Step] = &[
    step("test", "cargo test"),
    step("tidy", "ci/tidy.sh"),
    step("features", "ci/features.sh"),
    step("abort", "ci/abort.sh"),
    step("asm", "ci/asm.sh"),
    step("instructions", "ci/instructions.sh"),
    step("gzip", "ci/gzip.sh"),
    // Most of the faults show with two preemptions. Three of four models explore all executions
    // below the limit. The canaries prove that a model can fail.
    beside("loom", "LOOM_MAX_PREEMPTIONS=2 LOOM_MAX_PERMUTATIONS=10000 ci/loom.sh --canary"),
    beside("linearizable", "REORDER_HISTORIES=1000 ci/linearizable.sh --canary"),
    beside("schedules", "REORDER_SCHEDULES=500 ci/schedules.sh --canary"),
    beside("progress", "ci/progress.sh --canary"),
    beside("lines", "ci/lines.sh --count"),
    beside("remote", "REORDER_REMOTE_RUNS=5000 ci/remote.sh --canary"),
    step("requests", "REORDER_RANDOM_RUNS=5000 ci/requests.sh --canary"),
    step("soak", "ci/soak.sh 0.3"),
    step("service", "ci/service.sh 0.1"),
    step("nats", "ci/nats.sh"),
    step("api", "ci/api.sh"),
    step("package", "ci/package.sh --contents"),
    step("deny", "ci/deny.sh"),
];

/// The steps before a release: what [`CI`] leaves out, and the long forms of its steps.
pub(super) const DEEP: &[Step] = &[
    step("lints", "ci/lints.sh"),
    step("spelling", "ci/spelling.sh"),
    step("msrv", "ci/msrv.sh"),
    step("targets", "ci/targets.sh"),
    step("package", "ci/package.sh"),
    step("bench", "ci/bench.sh"),
    // The bounds of the models themselves. The models of whole calls have millions of executions
    // within theirs.
    step("loom", "LOOM_MAX_PERMUTATIONS=${LOOM_MAX_PERMUTATIONS-200000} ci/loom.sh"),
    // Shows that the models need each ordering. Only a change of an ordering or of a model matters.
    step("orderings", "ci/orderings.sh"),
    step("progress", "ci/progress.sh"),
    step("lines", "ci/lines.sh"),
    step("linearizable", "REORDER_HISTORIES=${REORDER_HISTORIES-200000} ci/linearizable.sh"),
    step("schedules", "REORDER_SCHEDULES=${REORDER_SCHEDULES-100000} ci/schedules.sh"),
    step("remote", "REORDER_REMOTE_RUNS=${REORDER_REMOTE_RUNS-100000} ci/remote.sh"),
    step("requests", "REORDER_RANDOM_RUNS=${REORDER_RANDOM_RUNS-100000} ci/requests.sh"),
    step("keys", "REORDER_RANDOM_RUNS=100000 cargo test -p reorder-executor --lib key_table"),
    step("test_faults", "ci/test_faults.sh"),
    step("spin", "ci/spin.sh"),
    step("soak_fault", "ci/soak.sh"),
    step("soak", "ci/soak.sh ${REORDER_SOAK_MINUTES-60} --seed $RANDOM"),
    step("service_fault", "ci/service.sh"),
    step("service", "ci/service.sh ${REORDER_SERVICE_MINUTES-10} --seed $RANDOM"),
    step(
        "sanitizers",
        "REORDER_STRESS_BATCHES=${REORDER_STRESS_BATCHES-1000000} \
         REORDER_POOL_THREADS=${REORDER_POOL_THREADS-2000} ci/sanitizers.sh",
    ),
    step("miri", "ci/miri.sh"),
    step("nats", "ci/nats.sh ${REORDER_NATS_SECONDS-600}"),
    step("fuzz", "ci/fuzz.sh ${REORDER_FUZZ_SECONDS-1800}"),
    step(
        "soak_with_address_sanitizer",
        "RUSTFLAGS='-Zsanitizer=address --cfg reorder_hooks' ASAN_OPTIONS=detect_leaks=1 \
         cargo +nightly run -q --release --target \"$(rustc -vV | sed -n 's/^host: //p')\" \
         -p reorder-stress --bin soak -- ${REORDER_SOAK_MINUTES-10}",
    ),
    step("waiting", "cargo run --release -p benches --bin waiting"),
    step("mutants", "ci/mutants.sh"),
];
