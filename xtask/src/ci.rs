//! Runs the checks of `ci/`, one after the other, and sums up.

mod steps;

use std::io::{self, Write};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};

use crate::build;
use steps::{CI, DEEP, Step};

/// Runs all steps of a change, or some. The arguments are names, or `--list` for the names.
///
/// `--tested STATUS SECONDS` says that the first step was run already, as `.ci/run` does.
pub(crate) fn run(arguments: &[String]) -> anyhow::Result<()> {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if let ["--tested", status, seconds] = arguments[..] {
        let passed = status.parse::<i32>().context("STATUS")? == 0;
        let seconds = Duration::from_secs(seconds.parse().context("SECONDS")?);
        let (test, others) = CI.split_first().context("no steps")?;
        let tested = Done { name: test.name, passed, time: seconds };
        return run_all(&others.iter().collect::<Vec<_>>(), vec![tested]);
    }
    run_named("ci", CI, &arguments)
}

/// Runs all steps before a release, or some. The arguments are names, or `--list` for the names.
pub(crate) fn deep(arguments: &[String]) -> anyhow::Result<()> {
    run_named("deep", DEEP, &arguments.iter().map(String::as_str).collect::<Vec<_>>())
}

fn run_named(tool: &str, steps: &[Step], arguments: &[&str]) -> anyhow::Result<()> {
    if arguments == ["--list"] {
        steps.iter().for_each(|step| println!("{}", step.name));
        return Ok(());
    }
    run_all(&chosen(tool, steps, arguments)?, Vec::new())
}

/// Returns the steps with the names, in their own order, or all steps without names.
fn chosen<'a>(tool: &str, steps: &'a [Step], names: &[&str]) -> anyhow::Result<Vec<&'a Step>> {
    for name in names {
        let known = || steps.iter().map(|step| step.name).collect::<Vec<_>>().join(" ");
        if !steps.iter().any(|step| step.name == *name) {
            bail!("no step {name}\nusage: cargo xtask {tool} [--list | NAME...], of {}", known());
        }
    }
    Ok(steps.iter().filter(|step| names.is_empty() || names.contains(&step.name)).collect())
}

/// The result of a step.
struct Done {
    name: &'static str,
    passed: bool,
    time: Duration,
}

/// Runs the steps, and prints a line for each in the end.
fn run_all(steps: &[&Step], mut done: Vec<Done>) -> anyhow::Result<()> {
    for Step { name, command } in steps {
        println!("=== {name}: {command}");
        io::stdout().flush()?;
        let begin = Instant::now();
        let mut bash = Command::new("bash");
        build::forget_cargo(&mut bash);
        let status = bash.args(["-euo", "pipefail", "-c", command]).status().context("bash")?;
        let step = Done { name, passed: status.success(), time: begin.elapsed() };
        println!("=== {name}: {}, {} s", verdict(&step), step.time.as_secs());
        done.push(step);
    }
    println!("\n{}", summary(&done));
    let failed: Vec<&str> = done.iter().filter(|step| !step.passed).map(|step| step.name).collect();
    ensure!(failed.is_empty(), "FAILED: {}", failed.join(" "));
    Ok(())
}

fn verdict(step: &Done) -> &'static str {
    if step.passed { "ok" } else { "FAILED" }
}

/// Returns a line for each step, and one for all.
fn summary(done: &[Done]) -> String {
    let width = done.iter().map(|step| step.name.len()).max().unwrap_or(0);
    let mut lines: Vec<String> = done
        .iter()
        .map(|step| format!("{:width$} {:4} s  {}", step.name, step.time.as_secs(), verdict(step)))
        .collect();
    let passed = done.iter().filter(|step| step.passed).count();
    let total: Duration = done.iter().map(|step| step.time).sum();
    lines.push(format!("{passed} of {} checks passed in {} s", done.len(), total.as_secs()));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEPS: [Step; 3] = [
        Step { name: "first", command: "true" },
        Step { name: "second", command: "false | true" },
        Step { name: "third", command: "true" },
    ];

    #[test]
    fn names_choose_steps() {
        let names = |chosen: &[&str]| -> Vec<&str> {
            let steps = self::chosen("ci", &STEPS, chosen).unwrap();
            steps.iter().map(|step| step.name).collect()
        };
        assert_eq!(names(&[]), ["first", "second", "third"]);
        assert_eq!(names(&["third", "first"]), ["first", "third"]);
        assert!(chosen("ci", &STEPS, &["fourth"]).is_err());
    }

    #[test]
    fn a_step_that_fails_fails_the_run_and_the_others_still_run() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ran");
        let command = format!("touch {}", file.display()).leak();
        let touch = Step { name: "touch", command };
        let error = run_all(&[&STEPS[1], &touch], Vec::new()).unwrap_err();
        assert_eq!(error.to_string(), "FAILED: second");
        assert!(file.exists());
        run_all(&[&STEPS[0]], Vec::new()).unwrap();
    }

    #[test]
    fn a_failed_test_before_the_run_fails_it() {
        let done = Done { name: "test", passed: false, time: Duration::from_secs(61) };
        let error = run_all(&[&STEPS[0]], vec![done]).unwrap_err();
        assert_eq!(error.to_string(), "FAILED: test");
    }

    #[test]
    fn summary_has_a_line_for_each_step() {
        let done =
            |name, passed, seconds| Done { name, passed, time: Duration::from_secs(seconds) };
        let summary = summary(&[done("test", true, 61), done("package", false, 7)]);
        assert_eq!(
            summary,
            "test      61 s  ok\npackage    7 s  FAILED\n1 of 2 checks passed in 68 s"
        );
    }

    #[test]
    fn names_are_unique_and_scripts_exist() {
        for steps in [CI, DEEP] {
            for step in steps {
                assert_eq!(steps.iter().filter(|other| other.name == step.name).count(), 1);
                let script = step.command.split_whitespace().find(|word| word.starts_with("ci/"));
                let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
                assert!(script.is_none_or(|script| root.join(script).is_file()), "{}", step.name);
            }
        }
        assert_eq!(CI[0].command, "cargo test", "the README's test command comes first");
    }
}
