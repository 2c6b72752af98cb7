//! The table of steps.

/// One step: its name, and the line of bash that runs it in the root of the repository.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) name: &'static str,
    pub(super) command: &'static str,
}

const fn step(name: &'static str, command: &'static str) -> Step {
    Step { name, command }
}

/// The steps of every change. The README's test command comes first.
pub(super) const CI: &[Step] = &[
    step("test", "cargo test"),
    step("tidy", "ci/tidy.sh"),
    step("spelling", "ci/spelling.sh"),
    step("features", "ci/features.sh"),
    step("msrv", "ci/msrv.sh"),
    step("targets", "ci/targets.sh"),
    step("abort", "ci/abort.sh"),
    step("asm", "ci/asm.sh"),
    step("instructions", "ci/instructions.sh"),
    step("gzip", "ci/gzip.sh"),
    step("loom", "ci/loom.sh"),
    step("orderings", "ci/orderings.sh"),
    step("linearizable", "ci/linearizable.sh"),
    step("schedules", "ci/schedules.sh"),
    step("progress", "ci/progress.sh"),
    step("soak", "ci/soak.sh"),
    step("sanitizers", "ci/sanitizers.sh"),
    step("fuzz", "ci/fuzz.sh"),
    step("api", "ci/api.sh"),
    step("package", "ci/package.sh"),
    step("deny", "ci/deny.sh"),
    step("bench", "ci/bench.sh"),
];

/// The long forms of these, which take hours: for the time before a release.
pub(super) const DEEP: &[Step] = &[
    // Twice the preemptions of most models. The other models explore all of them anyway.
    step("loom", "LOOM_MAX_PREEMPTIONS=${LOOM_MAX_PREEMPTIONS-4} ci/loom.sh"),
    step("linearizable", "REORDER_HISTORIES=200000 ci/linearizable.sh"),
    step("schedules", "REORDER_SCHEDULES=100000 ci/schedules.sh"),
    step("sanitizers", "REORDER_STRESS_BATCHES=1000000 REORDER_POOL_THREADS=2000 ci/sanitizers.sh"),
    step("fuzz", "ci/fuzz.sh 1800"),
    step("soak", "ci/soak.sh 60 --seed $RANDOM"),
    step(
        "soak_with_address_sanitizer",
        "RUSTFLAGS='-Zsanitizer=address --cfg reorder_hooks' ASAN_OPTIONS=detect_leaks=1 \
         cargo +nightly run -q --release --target \"$(rustc -vV | sed -n 's/^host: //p')\" \
         -p reorder-stress --bin soak -- 10",
    ),
    step("waiting", "cargo run --release -p benches --bin waiting"),
    step("mutants", "ci/mutants.sh"),
];
