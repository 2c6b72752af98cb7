//! The tests that run for a mutant, the narrowest ones first.

use std::path::Path;
use std::process::Command;
use std::time::Duration;
use std::{fs, io};

use anyhow::{Context as _, ensure};

use super::watch::{self, Ended};
use crate::build;

/// Test programs that are built together.
struct Stage {
    /// The folder within the folder of builds.
    folder: &'static str,
    /// The folder of the package, in which its tests run.
    package: &'static str,
    flags: &'static str,
    cargo: &'static [&'static str],
    /// Which tests of the programs run.
    arguments: &'static [&'static str],
    variables: &'static [(&'static str, &'static str)],
    /// The longest run of one program, in seconds of processor time. A longer one is a hang.
    seconds: u64,
}

#[rustfmt::skip]
const MODELS: &[&str] = &[
    "--release", "-p", "loom-tests", "--test", "models",
    "--config", "profile.release.package.loom-tests.opt-level=0",
];

/// The bounds of the models in CI.
const MODEL_BOUNDS: &[(&str, &str)] = &[
    ("LOOM_MAX_PREEMPTIONS", "2"),
    ("LOOM_MAX_PERMUTATIONS", "10000"),
    ("REORDER_END_AT_PANIC", "1"),
];

#[rustfmt::skip]
const RING: &[Stage] = &[
    // The unit tests notice most mutants, and build faster than the other tests.
    Stage {
        folder: "tests",
        package: "reorder",
        flags: "--cfg reorder_hooks",
        cargo: &["-p", "reorder-ring", "--lib"],
        arguments: &[],
        variables: &[],
        seconds: 60,
    },
    Stage {
        folder: "tests",
        package: "reorder",
        flags: "--cfg reorder_hooks",
        cargo: &[
            "-p", "reorder-ring", "--test", "ring", "--test", "pool", "--test", "wire",
            "--test", "progress",
        ],
        arguments: &[],
        variables: &[("REORDER_STRESS_BATCHES", "3000"), ("REORDER_POOL_THREADS", "100")],
        seconds: 60,
    },
    Stage {
        folder: "tests",
        package: "reorder",
        flags: "--cfg reorder_hooks",
        cargo: &[
            "-p", "reorder-ring", "--test", "fork", "--test", "no_allocation", "--test",
            "pool_allocations", "--test", "stopped_allocation",
        ],
        arguments: &[],
        variables: &[],
        seconds: 60,
    },
    Stage {
        folder: "models",
        package: "loom-tests",
        flags: "--cfg reorder_loom --cfg crossbeam_loom",
        cargo: MODELS,
        // All but the models of the executor. The first panic ends the process, so its message must
        // not be captured.
        arguments: &[
            "--skip", "batches::", "--skip", "cancellation::", "--skip", "queues::",
            "--skip", "sources::", "--skip", "spawned::", "--skip", "streams::",
            "--skip", "workers::", "--nocapture",
        ],
        variables: MODEL_BOUNDS,
        seconds: 600,
    },
];

const SCHEDULES: Stage = Stage {
    folder: "schedules",
    package: "loom-tests",
    flags: "--cfg reorder_shuttle",
    cargo: &["--release", "-p", "loom-tests", "--test", "schedules"],
    arguments: &[],
    variables: &[("REORDER_SCHEDULES", "1000")],
    seconds: 600,
};

#[rustfmt::skip]
const EXECUTOR: &[Stage] = &[
    Stage {
        folder: "tests",
        package: "executor",
        flags: "",
        cargo: &["-p", "reorder-executor", "--lib", "--tests"],
        arguments: &[],
        variables: &[("REORDER_RANDOM_RUNS", "500")],
        seconds: 180,
    },
    SCHEDULES,
    Stage {
        folder: "models",
        package: "loom-tests",
        flags: "--cfg reorder_loom --cfg crossbeam_loom",
        cargo: MODELS,
        arguments: &[
            "batches::", "cancellation::", "queues::", "sources::", "spawned::", "streams::",
            "workers::", "--nocapture",
        ],
        variables: MODEL_BOUNDS,
        seconds: 600,
    },
];

#[rustfmt::skip]
const REQUESTS: &[Stage] = &[
    Stage {
        folder: "tests",
        package: "requests",
        flags: "",
        cargo: &["-p", "reorder-requests", "--lib", "--tests"],
        arguments: &[],
        variables: &[("REORDER_RANDOM_RUNS", "500")],
        seconds: 180,
    },
    SCHEDULES,
];

/// The answer of the tests for a mutant.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The compiler refuses it, so it is no mutant.
    NoBuild,
    /// A test failed, with its name.
    Killed(String),
    Survived,
}

/// Runs the tests of a file that has changed in the copy of the workspace, without models and
/// schedules if it is `quick`.
pub(super) fn run(
    copy: &Path,
    builds: &Path,
    changed: &Path,
    quick: bool,
) -> anyhow::Result<Verdict> {
    let stages = match changed {
        path if path.starts_with("executor") => EXECUTOR,
        path if path.starts_with("requests") => REQUESTS,
        _ => RING,
    };
    for stage in stages.iter().filter(|stage| !quick || stage.folder == "tests") {
        let Some(programs) = stage.build(copy, builds)? else { return Ok(Verdict::NoBuild) };
        for program in programs {
            if let Some(test) = stage.failure(copy, builds, &program)? {
                return Ok(Verdict::Killed(test));
            }
        }
    }
    Ok(Verdict::Survived)
}

impl Stage {
    /// Builds the programs. Returns `None` if the compiler refuses the source.
    fn build(&self, copy: &Path, builds: &Path) -> anyhow::Result<Option<Vec<String>>> {
        let mut cargo = build::cargo();
        cargo.arg("test").args(self.cargo).arg("--no-run").current_dir(copy);
        cargo.env("CARGO_TARGET_DIR", builds.join(self.folder));
        cargo.env("RUSTFLAGS", build::flags(&format!("{} --cap-lints warn", self.flags)));
        // One mutant differs from the next in a few lines.
        cargo.env("CARGO_INCREMENTAL", "1");
        let output = cargo.output().context("cargo")?;
        let log = String::from_utf8_lossy(&output.stderr);
        if !output.status.success() {
            ensure!(log.contains("could not compile"), "cargo failed:\n{log}");
            return Ok(None);
        }
        let programs = build::executables(&log);
        ensure!(!programs.is_empty(), "cargo names no program:\n{log}");
        Ok(Some(programs.iter().map(|path| path.display().to_string()).collect()))
    }

    /// Returns the name of a test that failed, or the names of tests that did not end.
    fn failure(&self, copy: &Path, builds: &Path, program: &str) -> anyhow::Result<Option<String>> {
        let log = builds.join("test.log");
        let limit = Duration::from_secs(self.seconds);
        let ended = watch::run(&mut self.tests(copy, program), &log, limit)?;
        let printed = read_lossy(&log)?;
        let name = program.rsplit('/').next().unwrap_or(program);
        let name = name.rsplit_once('-').map_or(name, |(name, _)| name);
        Ok(match ended {
            Ended::Status(status) if status.success() => None,
            Ended::Status(_) | Ended::Failed => {
                Some(format!("{name}: {}", failed_test(&printed).unwrap_or("it aborts")))
            }
            Ended::Hangs => {
                let list = self.tests(copy, program).arg("--list").output()?;
                let list = String::from_utf8_lossy(&list.stdout);
                let tests = watch::unfinished_tests(&list, &printed);
                let some: Vec<&str> = tests.iter().map(String::as_str).take(3).collect();
                Some(format!("{name}: {} of {} do not end", some.join(", "), tests.len()))
            }
        })
    }

    fn tests(&self, copy: &Path, program: &str) -> Command {
        let mut tests = Command::new(program);
        build::forget_cargo(&mut tests);
        tests.current_dir(copy.join(self.package)).env("RUST_BACKTRACE", "0");
        tests.args(self.arguments).envs(self.variables.iter().copied());
        tests
    }
}

pub(super) fn read_lossy(path: &Path) -> io::Result<String> {
    Ok(String::from_utf8_lossy(&fs::read(path)?).into_owned())
}

/// Returns the first test that failed, by the line that libtest prints for it.
fn failed_test(log: &str) -> Option<&str> {
    let failed = watch::failed_tests(log).next();
    // A model that ends its process at the first panic prints the name of its thread only.
    failed.or_else(|| {
        let line = log.lines().find(|line| line.contains(" panicked at "))?;
        line.split('\'').nth(1)
    })
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    #[test]
    fn failed_tests_are_named() {
        let log = "test a ... ok\nthread 'wake::two' panicked\ntest wake::two ... FAILED\n";
        assert_eq!(failed_test(log), Some("wake::two"));
        let ended = "thread 'wake::one' (12) panicked at a.rs:1:2:\nno wake-up\n";
        assert_eq!(failed_test(ended), Some("wake::one"));
        assert_eq!(failed_test("Aborted"), None);
    }
}
