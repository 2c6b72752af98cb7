//! Builds a copy of the workspace for each fault, runs the tests of its group there, and says
//! whether they noticed the fault.

use std::fs;
use std::path::Path;
use std::process::{Command, ExitStatus};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use anyhow::{bail, ensure};

use super::copy;
use super::entries::{Fault, Groups};
use super::suites::{Evidence, SUITES, Suite};
use crate::build;

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
