//! Changes one statement at a time where threads meet, and runs the tests.
//!
//! It takes every function that has an atomic access, a lock or a wake-up. There it leaves out a
//! statement, swaps two statements, or holds a lock for longer. cargo-mutants changes what a
//! function computes, and `cargo xtask orderings` weakens the orders of accesses.
//!
//! A mutant that no test notices is a gap, unless `ci/mutants.toml` argues that it changes
//! nothing.
//!
//! | module | does |
//! |---|---|
//! | `find` | finds the mutants of a file |
//! | `changed` | finds the lines that changed since a commit |
//! | `tests` | builds and runs the tests for a mutant |
//! | `watch` | ends a test program that fails or hangs |

mod changed;
mod find;
mod tests;
mod watch;

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, bail, ensure};
use serde::Deserialize;

use crate::faults::copy;
use crate::{build, syntax};
use changed::Lines;
use find::Mutant;
use tests::Verdict;

const USAGE: &str = "usage:
  cargo xtask mutants list  [OPTION...] [PATH...]  lists the mutants of files and folders
  cargo xtask mutants run   [OPTION...] [PATH...]  runs the tests for each
  cargo xtask mutants check                        checks that each argument has its mutant
options:
  --shard K/N       only each N-th mutant, from the K-th on, which is 0 to N-1
  --since COMMIT    only mutants of lines that changed since the commit
  --at-most COUNT   only so many, spread over all
  --only TEXT       only mutants whose function and change contain the text
  --except REPORT   goes on behind an earlier run: without the mutants that have a result, and
                    without the first run of the tests, which changes nothing
  --quick           only tests, without models and schedules; what survives is to be run again
Without a path: reorder/src, executor/src and requests/src.";

/// The folders whose files are changed.
const CRATES: [&str; 3] = ["reorder/src", "executor/src", "requests/src"];

/// Code that only models or hooks compile, and the tests in folders.
const LEFT_OUT: [&str; 7] = [
    "tests",
    "tests.rs",
    "compile_fail",
    "compile_fail.rs",
    "modelled.rs",
    "weakened.rs",
    "watched.rs",
];

/// The mutants that change no result and no wait, each with a reason.
#[derive(Default, Deserialize)]
struct Equivalents {
    #[serde(default)]
    mutant: Vec<Equivalent>,
}

#[derive(Deserialize)]
struct Equivalent {
    function: String,
    change: String,
    because: String,
}

impl Equivalents {
    fn read() -> anyhow::Result<Equivalents> {
        let text = fs::read_to_string("ci/mutants.toml").context("ci/mutants.toml")?;
        toml::from_str(&text).context("ci/mutants.toml")
    }

    fn of(&self, mutant: &Mutant) -> Option<&Equivalent> {
        let is_it = |it: &&Equivalent| it.function == mutant.function && it.change == mutant.change;
        self.mutant.iter().find(is_it)
    }

    /// Fails if an argument has no mutant any more, or says nothing.
    fn check(&self) -> anyhow::Result<()> {
        let mutants = mutants(&CRATES.map(PathBuf::from))?;
        for it in &self.mutant {
            let Equivalent { function, change, because } = it;
            let of = mutants
                .iter()
                .filter(|mutant| self.of(mutant).is_some_and(|of| std::ptr::eq(of, it)));
            ensure!(of.count() > 0, "{function} has no mutant: {change}");
            ensure!(because.split_whitespace().count() > 3, "{function}: {change}: no reason");
        }
        println!("mutants: {} of {} are argued", self.mutant.len(), mutants.len());
        Ok(())
    }
}

/// Runs the subcommand that the arguments name.
pub(crate) fn run(arguments: &[String]) -> anyhow::Result<()> {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match &arguments[..] {
        ["check"] => Equivalents::read()?.check(),
        ["list", options @ ..] => {
            for mutant in Options::parse(options)?.chosen()? {
                println!("{}", describe(&mutant));
            }
            Ok(())
        }
        ["run", options @ ..] => Options::parse(options)?.run(),
        _ => bail!("{USAGE}"),
    }
}

#[derive(Default)]
struct Options {
    paths: Vec<PathBuf>,
    shard: Option<(usize, usize)>,
    since: Option<String>,
    at_most: Option<usize>,
    only: Option<String>,
    except: Option<PathBuf>,
    quick: bool,
}

impl Options {
    fn parse(arguments: &[&str]) -> anyhow::Result<Options> {
        let mut options = Options::default();
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().with_context(|| format!("{argument}: no value"));
            match *argument {
                "--shard" => {
                    let (shard, of) = value()?.split_once('/').context("--shard: K/N")?;
                    let (shard, of) = (shard.parse()?, of.parse()?);
                    ensure!(shard < of, "--shard {shard}/{of}: K is from 0 to N-1");
                    options.shard = Some((shard, of));
                }
                "--since" => options.since = Some(value()?.to_string()),
                "--quick" => options.quick = true,
                "--only" => options.only = Some(value()?.to_string()),
                "--except" => options.except = Some(value()?.into()),
                "--at-most" => options.at_most = Some(value()?.parse()?),
                option if option.starts_with("--") => bail!("{option}\n{USAGE}"),
                path => options.paths.push(path.into()),
            }
        }
        if options.paths.is_empty() {
            options.paths = CRATES.map(PathBuf::from).into();
        }
        Ok(options)
    }

    /// Runs the tests for each mutant. First it runs them without a change, and they must pass.
    fn run(&self) -> anyhow::Result<()> {
        let mutants = &self.chosen()?;
        let test = |copy: &Path, file: &Path| {
            tests::run(copy, &build::target().join("mutants"), file, self.quick)
        };
        let equivalents = Equivalents::read()?;
        let root = std::env::current_dir()?;
        let builds = build::target().join("mutants");
        let copy = builds.join("copy");
        _ = fs::remove_dir_all(&copy);
        copy::workspace(&root, &copy)?;
        let mut report = File::create(builds.join("report.txt"))?;
        let mut say = |line: String| -> anyhow::Result<()> {
            println!("mutants: {line}");
            Ok(writeln!(report, "{line}")?)
        };

        let crates: Vec<&Path> = ["reorder", "executor", "requests"].map(Path::new).into();
        for folder in crates
            .into_iter()
            .filter(|folder| self.except.is_none() && has_file_in(mutants, folder))
        {
            let verdict = test(&copy, folder)?;
            ensure!(verdict == Verdict::Survived, "without a change: {verdict:?}");
        }
        let begin = Instant::now();
        let (mut killed, mut argued, mut survived, mut refused) = (0, 0, 0, 0);
        for mutant in mutants {
            let file = copy.join(&mutant.path);
            let text = fs::read_to_string(&file)?;
            fs::write(&file, mutant.apply(&text))?;
            let start = Instant::now();
            let verdict = test(&copy, &mutant.path)?;
            fs::write(&file, text)?;
            let seconds = start.elapsed().as_secs();
            match verdict {
                Verdict::NoBuild => {
                    refused += 1;
                    say(format!("does not compile: {}: ", describe(mutant)))?;
                }
                Verdict::Killed(test) => {
                    killed += 1;
                    say(format!("killed in {seconds} s: {}: by {test}", describe(mutant)))?;
                }
                Verdict::Survived => match equivalents.of(mutant) {
                    Some(equivalent) => {
                        argued += 1;
                        say(format!(
                            "argued: {}: {}",
                            describe(mutant),
                            equivalent.because.trim()
                        ))?;
                    }
                    None => {
                        survived += 1;
                        say(format!("SURVIVED: {}", describe(mutant)))?;
                    }
                },
            }
        }
        let seconds = begin.elapsed().as_secs();
        say(format!(
            "{killed} killed, {argued} argued, {survived} survived, {refused} do not compile, \
         in {seconds} s"
        ))?;
        ensure!(survived == 0, "{survived} mutants survived");
        Ok(())
    }

    fn chosen(&self) -> anyhow::Result<Vec<Mutant>> {
        let mut mutants = mutants(&self.paths)?;
        if let Some(commit) = &self.since {
            let lines = Lines::since(commit)?;
            mutants.retain(|mutant| lines.meet(&mutant.path, &mutant.lines));
        }
        if let Some(text) = &self.only {
            mutants.retain(|mutant| describe(mutant).contains(text));
        }
        if let Some(report) = &self.except {
            let report =
                fs::read_to_string(report).with_context(|| report.display().to_string())?;
            mutants.retain(|mutant| !is_done(mutant, &report));
        }
        if let Some((shard, of)) = self.shard {
            mutants = mutants.into_iter().skip(shard).step_by(of).collect();
        }
        if let Some(most) = self.at_most.filter(|&most| most < mutants.len()) {
            let count = mutants.len();
            mutants = (0..most).map(|at| mutants[at * count / most].clone()).collect();
        }
        Ok(mutants)
    }
}

/// Returns the mutants of files and folders.
fn mutants(paths: &[PathBuf]) -> anyhow::Result<Vec<Mutant>> {
    let root = std::env::current_dir()?;
    let mut found = Vec::new();
    for path in paths {
        let files =
            if path.is_dir() { syntax::files(path, &LEFT_OUT)? } else { vec![path.clone()] };
        for file in files {
            found.extend(find::mutants(&root, &file)?);
        }
    }
    Ok(found)
}

fn describe(mutant: &Mutant) -> String {
    let Mutant { path, function, change, lines, .. } = mutant;
    format!("{}:{}: {function}: {change}", path.display(), lines.start)
}

/// Returns `true` if a report has a result of the mutant, and it did not survive. The line in its
/// file may have changed.
fn is_done(mutant: &Mutant, report: &str) -> bool {
    let name = format!(": {}: {}: ", mutant.function, mutant.change);
    report.lines().any(|line| line.contains(&name))
}

fn has_file_in(mutants: &[Mutant], folder: &Path) -> bool {
    mutants.iter().any(|mutant| mutant.path.starts_with(folder))
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    #[test]
    fn a_report_tells_what_is_done() {
        let mutants = mutants(&["../reorder/src/pool/lease.rs".into()]).unwrap();
        let (first, second) = (&mutants[0], &mutants[1]);
        let report = format!("mutants: killed in 3 s: {}: by ring: a_test\n", describe(first));
        let moved = report.replacen(&format!(":{}:", first.lines.start), ":1:", 1);
        for report in [&report, &moved] {
            assert!(is_done(first, report) && !is_done(second, report), "{report}");
        }
        assert!(!is_done(first, &format!("SURVIVED: {}", describe(first))));
    }

    #[test]
    fn options_are_read() {
        let options = Options::parse(&["--shard", "1/4", "--at-most", "9", "reorder/src"]).unwrap();
        assert_eq!((options.shard, options.at_most), (Some((1, 4)), Some(9)));
        assert_eq!(options.paths, [PathBuf::from("reorder/src")]);
        let options = Options::parse(&["--only", "drop(guard)", "../reorder/src/pool.rs"]).unwrap();
        let chosen = options.chosen().unwrap();
        assert!(!chosen.is_empty());
        assert!(chosen.iter().all(|mutant| mutant.change.contains("drop(guard)")));
        for wrong in [&["--shard", "4/4"][..], &["--shard"], &["--often"]] {
            assert!(Options::parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
