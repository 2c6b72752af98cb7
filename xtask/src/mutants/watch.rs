//! Runs a test program until it ends, a test fails, or it hangs.
//!
//! The tests of a mutant often fail at once and then wait for each other for ever. So the first
//! failure ends the program. A program whose threads all sleep, and that uses no processor, hangs.
//! A program that only gets no processor, on a busy machine, does not hang.

use std::collections::HashSet;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;

/// The end of a run.
#[derive(Debug)]
pub(super) enum Ended {
    Status(ExitStatus),
    /// A test failed, and the program was ended.
    Failed,
    /// The threads waited for each other, or used too much time, and the program was ended.
    Hangs,
}

/// A program whose threads sleep for this long waits for something that will not happen. The
/// longest sleep of a test is a second.
const STILL: Duration = Duration::from_secs(20);

/// A thread that sleeps for short times only, and looks, uses less than this within [`STILL`].
const STILL_USE: Duration = Duration::from_millis(50);

/// Runs the program with its output in the file `log`. `limit` is processor time, or time where
/// the system does not tell processor time.
pub(super) fn run(command: &mut Command, log: &Path, limit: Duration) -> anyhow::Result<Ended> {
    let file = File::create(log).with_context(|| log.display().to_string())?;
    let mut child = command.stdout(file.try_clone()?).stderr(file).spawn()?;
    let (begin, mut read_bytes) = (Instant::now(), 0);
    let (mut still_since, mut used_then) = (begin, Duration::ZERO);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Ended::Status(status));
        }
        let bytes = fs::metadata(log)?.len();
        if bytes != read_bytes && failed_tests(&super::tests::read_lossy(log)?).next().is_some() {
            end(&mut child)?;
            return Ok(Ended::Failed);
        }
        read_bytes = bytes;
        let usage = Usage::of(&child);
        if usage.as_ref().map_or(begin.elapsed(), |usage| usage.time) > limit {
            end(&mut child)?;
            return Ok(Ended::Hangs);
        }
        match usage {
            Some(Usage { time, sleeps: true }) if time < used_then + STILL_USE => {
                if still_since.elapsed() > STILL {
                    end(&mut child)?;
                    return Ok(Ended::Hangs);
                }
            }
            usage => {
                still_since = Instant::now();
                used_then = usage.map_or(Duration::ZERO, |usage| usage.time);
            }
        }
        thread::sleep(Duration::from_millis(20));
    }
}

fn end(child: &mut Child) -> anyhow::Result<()> {
    child.kill()?;
    child.wait()?;
    Ok(())
}

/// The use of processors by a process.
struct Usage {
    /// Its processor time.
    time: Duration,
    /// `true` if each of its threads sleeps.
    sleeps: bool,
}

impl Usage {
    /// Returns `None` if the system does not tell.
    fn of(child: &Child) -> Option<Usage> {
        let process = Path::new("/proc").join(child.id().to_string());
        let own = fs::read_to_string(process.join("stat")).ok()?;
        let (_, time) = state_and_time(&own)?;
        let mut threads = fs::read_dir(process.join("task")).ok()?;
        let sleeps = threads.all(|thread| {
            let stat = thread.and_then(|thread| fs::read_to_string(thread.path().join("stat")));
            stat.is_ok_and(|stat| state_and_time(&stat).is_some_and(|(state, _)| state == "S"))
        });
        Some(Usage { time, sleeps })
    }
}

/// Reads the state and the processor time from a file `stat` of Linux. Its times count hundredths
/// of a second.
fn state_and_time(stat: &str) -> Option<(&str, Duration)> {
    let (_, fields) = stat.rsplit_once(") ")?;
    let fields: Vec<&str> = fields.split(' ').collect();
    let (user, system): (u64, u64) = (fields.get(11)?.parse().ok()?, fields.get(12)?.parse().ok()?);
    Some((fields.first()?, Duration::from_millis((user + system) * 10)))
}

/// Returns the tests that libtest says have failed.
pub(super) fn failed_tests(log: &str) -> impl Iterator<Item = &str> {
    log.lines().filter_map(|line| {
        line.strip_prefix("test ")?.strip_suffix(" ... FAILED")?.split_whitespace().next()
    })
}

/// Returns the tests of a list that have no result in the log.
pub(super) fn unfinished_tests(list: &str, log: &str) -> Vec<String> {
    let ended: HashSet<&str> = log.lines().filter_map(|line| result(line)).collect();
    let tests = list.lines().filter_map(|line| line.strip_suffix(": test"));
    tests.filter(|test| !ended.contains(test)).map(str::to_owned).collect()
}

/// Returns the name in a line `test NAME ... RESULT`, or `test NAME - should panic ... RESULT`.
fn result(line: &str) -> Option<&str> {
    let (name, _) = line.strip_prefix("test ")?.split_once(" ... ")?;
    name.split_whitespace().next()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run_shell(script: &str, limit: Duration) -> Ended {
        let name = format!("reorder-watch-{}-{}", std::process::id(), script.len());
        let log = std::env::temp_dir().join(name);
        let ended = run(Command::new("sh").args(["-c", script]), &log, limit).unwrap();
        fs::remove_file(log).unwrap();
        ended
    }

    #[test]
    fn a_failure_ends_the_program() {
        let script = "echo 'test a::b ... FAILED'; exec sleep 600";
        assert!(matches!(run_shell(script, Duration::from_secs(300)), Ended::Failed));
    }

    #[test]
    fn a_program_that_ends_has_a_status() {
        let ended = run_shell("echo 'test a ... ok'", Duration::from_secs(300));
        assert!(matches!(ended, Ended::Status(status) if status.success()));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_program_that_sleeps_or_turns_for_ever_hangs() {
        assert!(matches!(run_shell("exec sleep 600", Duration::from_secs(300)), Ended::Hangs));
        let turns = "while true; do true; done";
        assert!(matches!(run_shell(turns, Duration::from_millis(100)), Ended::Hangs));
    }

    #[test]
    fn tests_without_a_result_are_named() {
        let list = "a::one: test\na::two: test\nb: test\n\n3 tests, 0 benchmarks\n";
        let log = "running 3 tests\ntest a::one ... ok\ntest b - should panic ... FAILED\n\
                   test a::two has been running for over 60 seconds\n";
        assert_eq!(unfinished_tests(list, log), ["a::two"]);
        assert_eq!(failed_tests(log).collect::<Vec<_>>(), ["b"]);
    }
}
