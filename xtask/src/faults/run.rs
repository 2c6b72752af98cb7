//! Builds a copy of the workspace for each fault, runs the tests of its group there, and says whether they
//! noticed it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;

use anyhow::{Context as _, bail, ensure};

use super::copy;
use super::entries::{Fault, Groups};

/// How the tests of a group are built and run.
struct Suite {
    group: &'static str,
    /// The folder within the target directory.
    folder: &'static str,
    flags: &'static str,
    cargo: &'static [&'static str],
    /// Variables of the environment that are not set yet, and their values.
    variables: &'static [(&'static str, &'static str)],
    /// A run that takes longer has not noticed the fault.
    seconds: u32,
    /// How many faults are tried at once.
    at_once: fn() -> usize,
    evidence: Evidence,
}

/// What the output of a failed run must have, so that the fault is the reason.
enum Evidence {
    /// A panic other than that of a model that had too few executions.
    Panic,
    /// A line with one of these texts.
    Line(&'static [&'static str]),
}

/// The options that build a changed crate quickly. A fault is noticed early in a search, so that quick
/// compilation is worth more than quick code. One copy differs from the next in a few lines.
const QUICK: [&str; 4] = [
    "--config",
    "profile.release.package.loom-tests.opt-level=0",
    "--config",
    "profile.release.incremental=true",
];

const SUITES: &[Suite] = &[
    Suite {
        group: "models",
        folder: "loom",
        flags: "--cfg reorder_loom --cfg crossbeam_loom",
        cargo: &[
            "--release",
            "-p",
            "loom-tests",
            "--test",
            "models",
            QUICK[0],
            QUICK[1],
            QUICK[2],
            QUICK[3],
        ],
        variables: &[],
        seconds: 300,
        at_once: processors,
        evidence: Evidence::Panic,
    },
    Suite {
        group: "schedules",
        folder: "schedules",
        flags: "--cfg reorder_shuttle",
        cargo: &["--release", "-p", "reorder-executor", "--test", "schedules", QUICK[2], QUICK[3]],
        variables: &[("REORDER_SCHEDULES", "3000")],
        seconds: 600,
        at_once: one,
        evidence: Evidence::Line(&["\ndeadlock"]),
    },
    Suite {
        group: "progress",
        folder: "progress",
        flags: "--cfg reorder_hooks",
        cargo: &["-p", "reorder-ring", "--test", "progress"],
        variables: &[("REORDER_STANDSTILL", "2")],
        seconds: 120,
        at_once: one,
        evidence: Evidence::Line(&["all stand still", "and may take"]),
    },
    Suite {
        group: "linearizable",
        folder: "linearizable",
        flags: "--cfg reorder_hooks",
        cargo: &["--release", "-p", "reorder-stress", "--test", "linearizable", QUICK[2], QUICK[3]],
        variables: &[("REORDER_HISTORIES", "3000")],
        seconds: 600,
        at_once: one,
        evidence: Evidence::Line(&["is not linearizable"]),
    },
];

fn processors() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

fn one() -> usize {
    1
}

/// What became of one fault.
#[derive(Debug)]
enum Outcome {
    /// The tests failed. The line says how.
    Noticed(String),
    /// The tests did not fail, or not because of the fault.
    Survived(String),
}

/// Runs the tests of a group against each of its faults, or against those that are named.
pub(super) fn run(root: &Path, groups: &Groups, group: &str, names: &[&str]) -> anyhow::Result<()> {
    let Some(suite) = SUITES.iter().find(|suite| suite.group == group) else {
        let known: Vec<&str> = SUITES.iter().map(|suite| suite.group).collect();
        bail!("no tests are known for the group `{group}`, but for {}", known.join(", "));
    };
    let faults = if names.is_empty() {
        groups.of(group)?
    } else {
        names.iter().map(|name| groups.fault(name)).collect::<anyhow::Result<_>>()?
    };
    ensure!(!faults.is_empty(), "the group `{group}` has no faults");
    let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    let target = root.join(target).join(suite.folder);
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

/// One of the places where faults are tried side by side.
struct Slot<'a> {
    root: &'a Path,
    target: &'a Path,
    slot: usize,
}

impl Slot<'_> {
    /// Copies, applies, builds and runs.
    fn attempt(&self, suite: &Suite, fault: &Fault) -> anyhow::Result<Outcome> {
        let copy = self.target.join(format!("copy{}", self.slot));
        let log = self.target.join(format!("{}.log", fault.name));
        if copy.exists() {
            fs::remove_dir_all(&copy)?;
        }
        copy::with_fault(self.root, fault, &copy)?;
        // What is built of a copy has a place of its own: cargo would take it for what is built of the original.
        let build = self.target.join(format!("copies{}", self.slot));
        let cargo = |command: Command| suite.cargo(command, &copy, &build);

        let mut command = cargo(Command::new("cargo"));
        if !output(command.arg("--no-run"), &log)?.success() {
            bail!("it does not compile:\n{}", fs::read_to_string(&log)?);
        }
        let mut command = Command::new("timeout");
        command.arg(suite.seconds.to_string()).arg("cargo");
        let mut command = cargo(command);
        command.arg("-q");
        if matches!(suite.evidence, Evidence::Panic) {
            let model = fault.noticed_by.as_deref().context("no model that should notice it")?;
            command.args(["--", "--exact", model, "--nocapture"]);
        }
        let status = output(&mut command, &log)?;
        fs::remove_dir_all(&copy)?;
        // A panic may print what is not UTF-8.
        let printed = String::from_utf8_lossy(&fs::read(&log)?).into_owned();
        Ok(suite.evidence.judge(status, &printed, fault.noticed_by.as_deref(), &log))
    }
}

impl Suite {
    /// Completes a command that is `cargo`, or ends in it, so that it tests the copy.
    fn cargo(&self, mut command: Command, copy: &Path, build: &PathBuf) -> Command {
        let flags = std::env::var("RUSTFLAGS").unwrap_or_default();
        command.arg("test").args(self.cargo).current_dir(copy);
        command.env("CARGO_TARGET_DIR", build).env("RUSTFLAGS", format!("{flags} {}", self.flags));
        // The models keep their own bounds.
        command.env("RUST_BACKTRACE", "0").env_remove("LOOM_MAX_PREEMPTIONS");
        for (name, value) in self.variables {
            if std::env::var_os(name).is_none() {
                command.env(name, value);
            }
        }
        command
    }
}

/// Runs a command, and writes all that it prints into a file.
fn output(command: &mut Command, log: &Path) -> anyhow::Result<ExitStatus> {
    let file = File::create(log)?;
    command.stdin(Stdio::null()).stderr(file.try_clone()?).stdout(file);
    command.status().with_context(|| format!("running {:?}", command.get_program()))
}

/// The status by which `timeout` says that it ended the command.
const TIMED_OUT: i32 = 124;

impl Evidence {
    /// Decides whether a run noticed the fault.
    ///
    /// A run that succeeds, takes too long, or fails for another reason has not.
    fn judge(
        &self,
        status: ExitStatus,
        printed: &str,
        noticed_by: Option<&str>,
        log: &Path,
    ) -> Outcome {
        let test = noticed_by.map(|name| format!("{name}: ")).unwrap_or_default();
        if status.success() {
            return Outcome::Survived(format!("{test}no test fails"));
        }
        if status.code() == Some(TIMED_OUT) {
            return Outcome::Survived(format!("{test}the tests do not end, see {}", log.display()));
        }
        match self.reason(printed) {
            Some(reason) => Outcome::Noticed(format!("{test}{reason}")),
            None => {
                let last: Vec<&str> = printed.lines().rev().take(60).collect();
                let last: Vec<&str> = last.into_iter().rev().collect();
                let last = last.join("\n");
                Outcome::Survived(format!("{test}the tests fail for another reason:\n{last}"))
            }
        }
    }

    /// Returns the line that shows that the fault was noticed.
    fn reason<'a>(&self, printed: &'a str) -> Option<&'a str> {
        match self {
            Self::Panic => {
                let mut lines = printed.lines();
                lines.find(|line| line.contains(" panicked at "))?;
                lines.next().filter(|line| !line.is_empty() && !line.contains("fewer than"))
            }
            Self::Line(wanted) => {
                let at = wanted.iter().filter_map(|wanted| printed.find(wanted)).min()?;
                let start = match printed[at..].starts_with('\n') {
                    true => at + 1,
                    false => printed[..at].rfind('\n').map_or(0, |end| end + 1),
                };
                printed[start..].lines().next()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(code: i32) -> ExitStatus {
        Command::new("sh").args(["-c", &format!("exit {code}")]).status().unwrap()
    }

    fn is_noticed(evidence: &Evidence, code: i32, printed: &str) -> bool {
        let outcome = evidence.judge(status(code), printed, Some("model"), Path::new("log"));
        matches!(outcome, Outcome::Noticed(why) if why.starts_with("model: "))
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
        assert!(!is_noticed(&Evidence::Panic, TIMED_OUT, PANIC));
        assert!(!is_noticed(&Evidence::Panic, 137, "running 1 test\nKilled\n"));
        assert!(!is_noticed(&Evidence::Panic, 101, "thread 'x' panicked at src/a.rs:1:2:\n"));
        assert!(!is_noticed(&Evidence::Panic, 101, "thread 'x' panicked at src/a.rs:1:2:\n\n"));
    }

    #[test]
    fn model_with_too_few_executions_has_not_noticed() {
        let printed = PANIC.replace("deadlock; 2 left", "2 executions, fewer than 10");
        assert!(!is_noticed(&Evidence::Panic, 101, &printed));
    }

    #[test]
    fn other_failure_is_not_noticed() {
        let evidence = Evidence::Line(&["all stand still", "and may take"]);
        assert!(is_noticed(&evidence, 101, "a\nx takes 7, and may take 6\nb"));
        assert!(is_noticed(&evidence, 101, "all stand still"));
        assert!(!is_noticed(&evidence, 101, PANIC));
        assert!(!is_noticed(&evidence, 0, "all stand still"));
        assert_eq!(evidence.reason("a\nx, all stand still\nb"), Some("x, all stand still"));
    }

    #[test]
    fn text_may_have_to_begin_its_line() {
        let evidence = Evidence::Line(&["\ndeadlock"]);
        assert_eq!(evidence.reason("a\ndeadlock: 1\nb"), Some("deadlock: 1"));
        assert_eq!(evidence.reason("a deadlock"), None);
    }
}
