//! Runs the checks of `ci/` in two rows, each one after the other, and sums up.
//!
//! Much of a step is the work of one processor, or waits for a server. So the steps with build
//! folders of their own run beside the others.

mod steps;

use std::fs::{self, File};
use std::process::Command;
use std::thread;
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
    let begin = Instant::now();
    let before: Duration = done.iter().map(|step| step.time).sum();
    let row = |beside| steps.iter().filter(move |step| step.beside == beside);
    let rows = thread::scope(|scope| {
        let other = scope.spawn(|| row(true).map(|step| run_step(step)).collect::<Vec<_>>());
        let mut rows: Vec<_> = row(false).map(|step| run_step(step)).collect();
        rows.extend(other.join().expect("a step returns its errors"));
        rows
    });
    done.extend(rows.into_iter().collect::<anyhow::Result<Vec<_>>>()?);
    println!("\n{}", summary(&done, before + begin.elapsed()));
    let failed: Vec<&str> = done.iter().filter(|step| !step.passed).map(|step| step.name).collect();
    ensure!(failed.is_empty(), "FAILED: {}", failed.join(" "));
    Ok(())
}

/// Runs a step, and prints its output when it ends. The output is in the build folder meanwhile.
fn run_step(step: &Step) -> anyhow::Result<Done> {
    let Step { name, command, .. } = step;
    let folder = build::target().join("ci");
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let log = folder.join(format!("{name}.log"));
    let output = File::create(&log).with_context(|| log.display().to_string())?;
    println!("=== {name} begins; its output is in {}", log.display());
    let begin = Instant::now();
    let mut bash = Command::new("bash");
    build::forget_cargo(&mut bash);
    bash.stdout(output.try_clone()?).stderr(output);
    let status = bash.args(["-euo", "pipefail", "-c", command]).status().context("bash")?;
    let step = Done { name, passed: status.success(), time: begin.elapsed() };
    let output = String::from_utf8_lossy(&fs::read(&log)?).into_owned();
    let (verdict, seconds) = (verdict(&step), step.time.as_secs());
    println!("=== {name}: {command}\n{output}=== {name}: {verdict}, {seconds} s");
    Ok(step)
}

fn verdict(step: &Done) -> &'static str {
    if step.passed { "ok" } else { "FAILED" }
}

/// Returns a line for each step, and one for all, which took `total`.
fn summary(done: &[Done], total: Duration) -> String {
    let width = done.iter().map(|step| step.name.len()).max().unwrap_or(0);
    let mut lines: Vec<String> = done
        .iter()
        .map(|step| format!("{:width$} {:4} s  {}", step.name, step.time.as_secs(), verdict(step)))
        .collect();
    let passed = done.iter().filter(|step| step.passed).count();
    lines.push(format!("{passed} of {} checks passed in {} s", done.len(), total.as_secs()));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEPS: [Step; 3] = [
        Step { name: "first", command: "true", beside: false },
        Step { name: "second", command: "false | true", beside: true },
        Step { name: "third", command: "true", beside: false },
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
        let touch = Step { name: "touch", command, beside: true };
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
    fn steps_with_a_folder_of_their_own_run_beside_the_others() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name).display().to_string();
        let (a, b) = (file("a"), file("b"));
        // Each step creates its file, and waits for the file of the other step.
        let meet = |mine: &str, theirs: &str| -> &'static str {
            let wait =
                format!("for i in $(seq 6000); do test -e {theirs} && exit; sleep 0.01; done");
            format!("touch {mine}; {wait}; exit 1").leak()
        };
        let first = Step { name: "meets", command: meet(&a, &b), beside: false };
        let second = Step { name: "meets_beside", command: meet(&b, &a), beside: true };
        run_all(&[&first, &second], Vec::new()).unwrap();
    }

    #[test]
    fn summary_has_a_line_for_each_step() {
        let done =
            |name, passed, seconds| Done { name, passed, time: Duration::from_secs(seconds) };
        let done = [done("test", true, 61), done("package", false, 7)];
        let summary = summary(&done, Duration::from_secs(66));
        assert_eq!(
            summary,
            "test      61 s  ok\npackage    7 s  FAILED\n1 of 2 checks passed in 66 s"
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
