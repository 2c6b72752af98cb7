//! The tests of each group of faults, and how they are built and run.

use std::fs;
use std::process::Command;
use std::thread;

use anyhow::{Context as _, bail};

use super::entries::Fault;
use crate::{orderings, tree};

/// Says how the tests of a group are built and run.
pub(super) struct Suite {
    pub(super) group: &'static str,
    /// The folder within the target directory.
    pub(super) folder: &'static str,
    pub(super) flags: &'static str,
    /// The folder of the package that has the tests.
    pub(super) package: &'static str,
    pub(super) cargo: &'static [&'static str],
    /// Variables for the tests, unless the caller has set them.
    variables: &'static [(&'static str, &'static str)],
    tests: Tests,
    /// The longest run, in seconds. A longer one has not noticed the fault.
    pub(super) seconds: u64,
    /// Returns the number of faults to try at the same time.
    pub(super) at_once: fn() -> usize,
    pub(super) evidence: Evidence,
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
pub(super) enum Evidence {
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

/// The same for the histories, and for the two crates that the other programs of their package
/// need.
const QUICK_STRESS: &str = "profile.release.package.reorder-stress.opt-level=0";
const QUICK_EXECUTOR: &str = "profile.release.package.reorder-executor.opt-level=0";
const QUICK_REQUESTS: &str = "profile.release.package.reorder-requests.opt-level=0";

#[rustfmt::skip]
pub(super) const SUITES: &[Suite] = &[
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
            "--config", QUICK_STRESS, "--config", QUICK_EXECUTOR, "--config", QUICK_REQUESTS,
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
        package: "requests",
        cargo: &["-p", "reorder-requests", "--lib"],
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
    Suite {
        group: "requests_tests",
        folder: "tests",
        flags: "",
        package: "requests",
        cargo: &["-p", "reorder-requests"],
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

impl Suite {
    /// Sets the arguments and variables of the tests.
    pub(super) fn prepare(&self, tests: &mut Command, fault: &Fault) {
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
    pub(super) fn test<'a>(&self, fault: &'a Fault) -> Option<&'a str> {
        let name = fault.noticed_by.as_deref()?;
        match self.tests {
            Tests::All => None,
            Tests::Named => Some(name),
            Tests::NamedInTarget => name.split_once("::").map(|(_, test)| test),
        }
    }

    /// Returns the arguments of cargo that select the program of the fault's test.
    pub(super) fn target(&self, fault: &Fault) -> anyhow::Result<Vec<String>> {
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
