//! Builds a copy of the workspace for each fault, runs the tests of its group there, and says
//! whether they noticed the fault.

use std::fs;
use std::path::Path;
use std::process::{Command, ExitStatus};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};

use super::copy;
use super::entries::{Fault, Groups};
use crate::{build, orderings, tree};

/// Says how the tests of a group are built and run.
struct Suite {
    group: &'static str,
    /// The folder within the target directory.
    folder: &'static str,
    flags: &'static str,
    /// The folder of the package that has the tests.
    package: &'static str,
    cargo: &'static [&'static str],
    /// Variables for the tests, unless the caller has set them.
    variables: &'static [(&'static str, &'static str)],
    tests: Tests,
    /// The longest run, in seconds. A longer one has not noticed the fault.
    seconds: u64,
    /// Returns the number of faults to try at the same time.
    at_once: fn() -> usize,
    evidence: Evidence,
}

/// The tests that run for a fault.
enum Tests {
    /// All tests of the program that `cargo` names.
    All,
    /// The test of this program that the entry names.
    Named,
    /// The test that the entry names. The first part of its name is the program: `lib`, or a file
    /// or folder in `tests`.
    NamedInTarget,
}

/// The text that a failed run must print, so that the fault is the reason.
enum Evidence {
    /// The message of a panic, but not one about too few executions of a model.
    Panic,
    /// A line that contains one of these.
    Line(&'static [&'static str]),
    /// A line that begins with this.
    Start(&'static str),
}

/// Builds the models quickly. A fault is noticed early in a search, so that quick compilation is
/// worth more than quick code.
const QUICK: &str = "profile.release.package.loom-tests.opt-level=0";

/// The same for the histories, and for the executor, which the other programs of their package
/// need.
const QUICK_STRESS: &str = "profile.release.package.reorder-stress.opt-level=0";
const QUICK_EXECUTOR: &str = "profile.release.package.reorder-executor.opt-level=0";

#[rustfmt::skip]
const SUITES: &[Suite] = &[
    Suite {
        group: "models",
        folder: "loom",
        flags: "--cfg reorder_loom --cfg crossbeam_loom",
        package: "loom-tests",
        cargo: &["--release", "-p", "loom-tests", "--test", "models", "--config", QUICK],
        variables: &[("REORDER_END_AT_PANIC", "1")],
        tests: Tests::Named,
        seconds: 300,
        at_once: processors,
        evidence: Evidence::Panic,
    },
    Suite {
        group: "schedules",
        folder: "schedules",
        flags: "--cfg reorder_shuttle",
        package: "loom-tests",
        cargo: &["--release", "-p", "loom-tests", "--test", "schedules"],
        variables: &[("REORDER_SCHEDULES", "3000")],
        tests: Tests::All,
        seconds: 600,
        at_once: one,
        evidence: Evidence::Start("deadlock"),
    },
    Suite {
        group: "lines",
        folder: "lines",
        flags: "--cfg reorder_shuttle --cfg reorder_hooks",
        package: "loom-tests",
        cargo: &["--release", "-p", "loom-tests", "--test", "lines"],
        variables: &[],
        tests: Tests::All,
        seconds: 600,
        at_once: one,
        evidence: Evidence::Line(&["GREW from"]),
    },
    Suite {
        group: "progress",
        folder: "progress",
        flags: "--cfg reorder_hooks",
        package: "reorder",
        cargo: &["-p", "reorder-ring", "--test", "progress"],
        variables: &[("REORDER_STANDSTILL", "2")],
        tests: Tests::All,
        seconds: 120,
        at_once: one,
        evidence: Evidence::Line(&["the other threads block", "and may take"]),
    },
    Suite {
        group: "linearizable",
        folder: "hooks",
        flags: "--cfg reorder_hooks",
        package: "stress",
        cargo: &[
            "--release", "-p", "reorder-stress", "--test", "linearizable",
            "--config", QUICK_STRESS, "--config", QUICK_EXECUTOR,
        ],
        variables: &[("REORDER_HISTORIES", "3000")],
        tests: Tests::All,
        seconds: 600,
        at_once: one,
        evidence: Evidence::Line(&["is not linearizable"]),
    },
    Suite {
        group: "remote",
        folder: "remote",
        flags: "",
        package: "remote",
        cargo: &["-p", "reorder-remote", "--lib"],
        variables: &[("REORDER_REMOTE_RUNS", "3000")],
        tests: Tests::All,
        seconds: 300,
        at_once: one,
        evidence: Evidence::Panic,
    },
    Suite {
        group: "remote_owners",
        folder: "remote",
        flags: "",
        package: "remote",
        cargo: &["-p", "reorder-remote", "--test", "owners"],
        variables: &[],
        tests: Tests::All,
        seconds: 600,
        at_once: one,
        evidence: Evidence::Panic,
    },
    Suite {
        group: "remote_jobs",
        folder: "remote",
        flags: "",
        package: "remote",
        cargo: &["-p", "reorder-remote", "--test", "jobs"],
        variables: &[],
        tests: Tests::All,
        seconds: 600,
        at_once: one,
        evidence: Evidence::Panic,
    },
    Suite {
        group: "requests",
        folder: "requests",
        flags: "",
        package: "executor",
        cargo: &["-p", "reorder-executor", "--lib", "requests"],
        variables: &[("REORDER_RANDOM_RUNS", "3000")],
        tests: Tests::All,
        seconds: 300,
        at_once: one,
        evidence: Evidence::Panic,
    },
    Suite {
        group: "ring_tests",
        folder: "tests",
        flags: "",
        package: "reorder",
        cargo: &["-p", "reorder-ring", "--all-features"],
        variables: &[],
        tests: Tests::NamedInTarget,
        seconds: 300,
        at_once: one,
        evidence: Evidence::Panic,
    },
    Suite {
        group: "executor_tests",
        folder: "tests",
        flags: "",
        package: "executor",
        cargo: &["-p", "reorder-executor", "--features", "sink"],
        variables: &[],
        tests: Tests::NamedInTarget,
        seconds: 300,
        at_once: one,
        evidence: Evidence::Panic,
    },
];

fn processors() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

fn one() -> usize {
    1
}

/// The result of trying one fault.
#[derive(Debug)]
enum Outcome {
    /// The tests failed because of the fault. The line says how.
    Noticed(String),
    /// The tests did not fail, or failed for another reason.
    Survived(String),
}

/// Runs the tests of a group against its faults, or against the named faults only. `--canary`
/// stands for the canaries of the group, or for its first fault if none is marked.
pub(super) fn run(root: &Path, groups: &Groups, group: &str, names: &[&str]) -> anyhow::Result<()> {
    let Some(suite) = SUITES.iter().find(|suite| suite.group == group) else {
        let known: Vec<&str> = SUITES.iter().map(|suite| suite.group).collect();
        bail!("cannot run the group `{group}`, only {}", known.join(", "));
    };
    let faults = if names.is_empty() {
        groups.of(group)?
    } else if names == ["--canary"] {
        let all = groups.of(group)?;
        let marked: Vec<&Fault> = all.iter().copied().filter(|fault| fault.canary).collect();
        if marked.is_empty() { all.into_iter().take(1).collect() } else { marked }
    } else {
        names.iter().map(|name| groups.fault(name)).collect::<anyhow::Result<_>>()?
    };
    ensure!(!faults.is_empty(), "the group `{group}` has no faults");
    let target = build::target().join(suite.folder);
    fs::create_dir_all(&target)?;

    let next = AtomicUsize::new(0);
    let noticed = AtomicUsize::new(0);
    thread::scope(|scope| {
        for slot in 0..(suite.at_once)().min(faults.len()) {
            let (faults, next, noticed, target) = (&faults, &next, &noticed, &target);
            scope.spawn(move || {
                while let Some(fault) = faults.get(next.fetch_add(1, Relaxed)) {
                    let place = Slot { root, target, slot };
                    match place.attempt(suite, fault) {
                        Ok(Outcome::Noticed(why)) => {
                            noticed.fetch_add(1, Relaxed);
                            println!("faults: {} is noticed: {why}", fault.name);
                        }
                        Ok(Outcome::Survived(why)) => {
                            println!("faults: {} is NOT noticed: {why}", fault.name);
                        }
                        Err(error) => println!("faults: {} is NOT tried: {error:#}", fault.name),
                    }
                }
            });
        }
    });
    let noticed = noticed.into_inner();
    println!("faults: {group}: {} faults, {noticed} noticed", faults.len());
    ensure!(noticed == faults.len(), "{} were not noticed", faults.len() - noticed);
    Ok(())
}

/// A place for one copy at a time. Several faults are tried at once, in several places.
struct Slot<'a> {
    root: &'a Path,
    target: &'a Path,
    slot: usize,
}

impl Slot<'_> {
    /// Copies what the tests of the original have built into the build folder of the copies. Cargo
    /// compares times, so it builds the packages of a copy again, but not their dependencies.
    fn take_dependencies(&self, to: &Path) -> anyhow::Result<()> {
        fs::create_dir_all(to)?;
        for profile in ["debug", "release"] {
            let from = self.target.join(profile);
            if from.exists() {
                let status = Command::new("cp").arg("-a").arg(&from).arg(to).status()?;
                ensure!(status.success(), "cp -a {}: {status}", from.display());
            }
        }
        Ok(())
    }

    /// Copies the workspace, applies the fault, builds the tests and runs them.
    fn attempt(&self, suite: &Suite, fault: &Fault) -> anyhow::Result<Outcome> {
        let copy = self.target.join(format!("copy{}", self.slot));
        if copy.exists() {
            fs::remove_dir_all(&copy)?;
        }
        copy::with_fault(self.root, fault, &copy)?;
        // The copies have a build folder of their own. Cargo would take them for the original.
        let build = self.target.join(format!("copies{}", self.slot));
        if !build.exists() {
            self.take_dependencies(&build)?;
        }
        let mut cargo = build::cargo();
        cargo.arg("test").args(suite.cargo).args(suite.target(fault)?).arg("--no-run");
        cargo.current_dir(&copy);
        cargo.env("CARGO_TARGET_DIR", build).env("RUSTFLAGS", build::flags(suite.flags));
        // One copy differs from the next in a few lines.
        cargo.env("CARGO_INCREMENTAL", "1");
        let program = copy.join(build::test_program(&mut cargo)?);

        let mut tests = Command::new(program);
        build::forget_cargo(&mut tests);
        suite.prepare(&mut tests, fault);
        let log = self.target.join(format!("{}.log", fault.name));
        let limit = Duration::from_secs(suite.seconds);
        let status =
            build::run_logged(tests.current_dir(copy.join(suite.package)), &log, Some(limit))?;
        fs::remove_dir_all(&copy)?;
        // The message of a panic need not be UTF-8.
        let printed = String::from_utf8_lossy(&fs::read(&log)?).into_owned();
        let outcome = suite.evidence.judge(status, &printed);
        Ok(match suite.test(fault) {
            Some(test) => outcome.of(test),
            None => outcome,
        })
    }
}

impl Suite {
    /// Sets the arguments and variables of the tests.
    fn prepare(&self, tests: &mut Command, fault: &Fault) {
        if let Some(test) = self.test(fault) {
            tests.args(["--exact", test, "--nocapture"]);
        }
        // The models keep their own bounds.
        tests.env("RUST_BACKTRACE", "0").env_remove("LOOM_MAX_PREEMPTIONS");
        tests.env_remove("LOOM_MAX_PERMUTATIONS");
        for (name, value) in self.variables {
            if std::env::var_os(name).is_none() {
                tests.env(name, value);
            }
        }
    }

    /// Returns the test that must notice the fault, as its program knows it. Without one, all tests
    /// of the group run, also for a fault that it borrows.
    fn test<'a>(&self, fault: &'a Fault) -> Option<&'a str> {
        let name = fault.noticed_by.as_deref()?;
        match self.tests {
            Tests::All => None,
            Tests::Named => Some(name),
            Tests::NamedInTarget => name.split_once("::").map(|(_, test)| test),
        }
    }

    /// Returns the arguments of cargo that select the program of the fault's test.
    fn target(&self, fault: &Fault) -> anyhow::Result<Vec<String>> {
        if !matches!(self.tests, Tests::NamedInTarget) {
            return Ok(Vec::new());
        }
        let named = fault.noticed_by.as_deref().and_then(|name| name.split_once("::"));
        Ok(match named.context("the entry names no test")? {
            ("lib", _) => vec!["--lib".into()],
            (target, _) => vec!["--test".into(), target.into()],
        })
    }

    /// Fails unless there is a function with the name of the test that the entry names.
    fn check(&self, fault: &Fault) -> anyhow::Result<()> {
        let Some(name) = &fault.noticed_by else { return Ok(()) };
        if !matches!(self.tests, Tests::NamedInTarget) {
            return orderings::model_exists(name);
        }
        let (target, test) = name.split_once("::").context("the entry names no test")?;
        let place = match target {
            "lib" => format!("{}/src/", self.package),
            _ => format!("{}/tests/{target}", self.package),
        };
        let is_there = |file: &str| {
            let rest = file.strip_prefix(&place).filter(|_| target != "lib");
            rest.map_or(file.starts_with(&place), |rest| rest == ".rs" || rest.starts_with('/'))
        };
        let function = format!("fn {}(", test.rsplit("::").next().unwrap_or(test));
        for file in tree::files()?.iter().filter(|file| is_there(file)) {
            if fs::read_to_string(file)?.contains(&function) {
                return Ok(());
            }
        }
        bail!("{}: no test {name}", self.package)
    }
}

/// Fails unless the test that an entry of the group names exists.
pub(super) fn check(group: &str, fault: &Fault) -> anyhow::Result<()> {
    let suite = SUITES.iter().find(|suite| suite.group == group);
    suite.map_or(Ok(()), |suite| suite.check(fault))
}

impl Outcome {
    /// Puts the name of the test before the reason.
    fn of(self, test: &str) -> Self {
        match self {
            Self::Noticed(why) => Self::Noticed(format!("{test}: {why}")),
            Self::Survived(why) => Self::Survived(format!("{test}: {why}")),
        }
    }
}

impl Evidence {
    /// Decides whether a run noticed the fault. A run that took too long has no status.
    fn judge(&self, status: Option<ExitStatus>, printed: &str) -> Outcome {
        let why = match status {
            None => "the tests take too long",
            Some(status) if status.success() => "no test fails",
            Some(_) => match self.reason(printed) {
                Some(reason) => return Outcome::Noticed(reason.to_owned()),
                None => "the tests fail for another reason",
            },
        };
        let skipped = printed.lines().count().saturating_sub(60);
        let last: Vec<&str> = printed.lines().skip(skipped).collect();
        Outcome::Survived(format!("{why}:\n{}", last.join("\n")))
    }

    /// Returns the line which shows that the fault was noticed.
    fn reason<'a>(&self, printed: &'a str) -> Option<&'a str> {
        let mut lines = printed.lines();
        match self {
            Self::Panic => build::panic_message(printed),
            Self::Line(texts) => lines.find(|line| texts.iter().any(|text| line.contains(text))),
            Self::Start(text) => lines.find(|line| line.starts_with(text)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_noticed(evidence: &Evidence, code: i32, printed: &str) -> bool {
        let status = Command::new("sh").args(["-c", &format!("exit {code}")]).status().unwrap();
        matches!(evidence.judge(Some(status), printed), Outcome::Noticed(_))
    }

    const PANIC: &str = "running 1 test\nthread 'x' panicked at src/a.rs:1:2:\ndeadlock; 2 left\n";

    #[test]
    fn panic_is_noticed() {
        assert!(is_noticed(&Evidence::Panic, 101, PANIC));
        assert!(is_noticed(&Evidence::Panic, 134, PANIC));
    }

    #[test]
    fn end_without_a_panic_is_not_noticed() {
        assert!(!is_noticed(&Evidence::Panic, 0, PANIC));
        assert!(!is_noticed(&Evidence::Panic, 137, "running 1 test\nKilled\n"));
        assert!(!is_noticed(&Evidence::Panic, 101, "thread 'x' panicked at src/a.rs:1:2:\n"));
    }

    #[test]
    fn run_that_takes_too_long_has_not_noticed() {
        assert!(matches!(Evidence::Panic.judge(None, PANIC), Outcome::Survived(_)));
    }

    #[test]
    fn model_with_too_few_executions_has_not_noticed() {
        let printed = PANIC.replace("deadlock; 2 left", "2 executions, fewer than 10");
        assert!(!is_noticed(&Evidence::Panic, 101, &printed));
    }

    #[test]
    fn failure_for_another_reason_is_not_noticed() {
        let evidence = Evidence::Line(&["the other threads block", "and may take"]);
        assert!(is_noticed(&evidence, 101, "a\nx takes 7, and may take 6\nb"));
        assert!(is_noticed(&evidence, 101, "the other threads block"));
        assert!(!is_noticed(&evidence, 101, PANIC));
        assert!(!is_noticed(&evidence, 0, "the other threads block"));
        assert_eq!(
            evidence.reason("a\nx, the other threads block\nb"),
            Some("x, the other threads block")
        );
    }

    #[test]
    fn evidence_may_have_to_begin_its_line() {
        let evidence = Evidence::Start("deadlock");
        assert_eq!(evidence.reason("a\ndeadlock: 1\nb"), Some("deadlock: 1"));
        assert_eq!(evidence.reason("a deadlock"), None);
    }

    #[test]
    fn name_of_the_test_comes_before_the_reason() {
        let outcome = Outcome::Noticed("deadlock".to_owned()).of("wake::one");
        assert!(matches!(outcome, Outcome::Noticed(why) if why == "wake::one: deadlock"));
    }
}
