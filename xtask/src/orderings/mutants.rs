//! Weakens each order in turn, and runs the models of its pairs.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};

use super::data::{Book, Orderings, Part};
use crate::build;
use crate::notes::label_above;

/// The most processor time of one model. A mutant that makes it take more counts as not noticed.
/// Processor time does not depend on what else the machine does.
const PROCESSOR_SECONDS: u32 = 120;

/// The longest that one model may take, in case that it blocks.
const TIME_LIMIT: Duration = Duration::from_secs(1800);

/// One part of one access, to be weakened.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Mutant {
    /// `FILE:LINE`, as the models know an access.
    place: String,
    part: Part,
    label: String,
}

/// The fate of a mutant.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    /// A model failed, with its name and message.
    Killed(String, String),
    /// All models passed, and there is an argument for the order.
    Argued,
    /// All models passed.
    Survived(Vec<String>),
}

/// Runs the mutants of the labels that the arguments name, or all mutants.
pub(super) fn run(orderings: &Orderings, labels: &[String]) -> anyhow::Result<()> {
    let target = build::target().join("loom");
    let work = target.join("orderings");
    _ = fs::remove_dir_all(&work);
    fs::create_dir_all(&work)?;
    let models = Models::build(&target, work)?;

    let mut mutants = mutants(&models.accesses()?, Path::new("."))?;
    let reached: BTreeSet<String> = mutants.iter().map(|mutant| mutant.label.clone()).collect();
    if !labels.is_empty() {
        for label in labels {
            ensure!(reached.contains(label), "no model reaches an access with the label {label}");
        }
        mutants.retain(|mutant| labels.contains(&mutant.label));
    }

    let fates = Mutex::new(Vec::new());
    let next = AtomicUsize::new(0);
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(mutant) = mutants.get(next.fetch_add(1, Relaxed)) {
                    let fate = models.fate(orderings, mutant);
                    if let Ok(fate) = &fate {
                        println!("{}", describe(mutant, fate));
                    }
                    fates.lock().unwrap_or_else(|error| error.into_inner()).push(fate);
                }
            });
        }
    });
    let fates = fates.into_inner()?;
    let fates = fates.into_iter().collect::<anyhow::Result<Vec<Fate>>>()?;

    // Without a choice, each pair has to be reached.
    let unreached: Vec<&str> = match labels {
        [] => unreached(orderings.books(), &reached),
        _ => Vec::new(),
    };
    for label in &unreached {
        println!("survived {label}: no model reaches it");
    }
    let count = |wanted: fn(&Fate) -> bool| fates.iter().filter(|fate| wanted(fate)).count();
    let killed = count(|fate| matches!(fate, Fate::Killed(..)));
    let argued = count(|fate| matches!(fate, Fate::Argued));
    let survived = fates.len() - killed - argued + unreached.len();
    println!("{} mutants, {killed} killed, {survived} survived, {argued} argued", mutants.len());
    ensure!(survived == 0, "{survived} orders are not needed by any model");
    ensure!(killed > 0, "no mutant is killed: the models see none");
    Ok(())
}

/// Returns the labels of pairs that no model reaches.
fn unreached<'a>(books: [&'a Book; 2], reached: &BTreeSet<String>) -> Vec<&'a str> {
    let paired: BTreeSet<&str> = books.into_iter().flat_map(Book::paired).collect();
    paired.into_iter().filter(|label| !reached.contains(*label)).collect()
}

/// Returns one mutant for each `FILE:LINE:PART` that the models reported. Leaves out the accesses
/// of the models themselves.
fn mutants(accesses: &str, root: &Path) -> anyhow::Result<Vec<Mutant>> {
    let mut mutants = Vec::new();
    for access in accesses.lines() {
        let parsed = access.rsplit_once(':').and_then(|(place, part)| {
            let (file, line) = place.rsplit_once(':')?;
            Some((place, file, line.parse().ok()?, Part::of(part)?))
        });
        let Some((place, file, line, part)) = parsed else { bail!("no access: {access}") };
        let source = fs::read_to_string(root.join(file)).context(file.to_owned())?;
        let label = label_above(&source, line)
            .with_context(|| format!("{place}: no ORDERING note stands above this access"))?;
        if !label.starts_with("model:") {
            mutants.push(Mutant { place: place.to_owned(), part, label });
        }
    }
    mutants.sort();
    mutants.dedup();
    Ok(mutants)
}

fn describe(mutant: &Mutant, fate: &Fate) -> String {
    let Mutant { place, part, label } = mutant;
    let part = part.name();
    match fate {
        Fate::Killed(model, why) => {
            let why: String = why.chars().take(70).collect();
            format!("killed {label}, {part}: dies in {model}: {why}")
        }
        Fate::Argued => format!("argued {label}, {part}: see the page"),
        Fate::Survived(models) if models.is_empty() => {
            format!("survived {label}, {part} ({place}): it is in no pair, and has no argument")
        }
        Fate::Survived(models) => {
            format!("survived {label}, {part} ({place}): lives in {}", models.join(" "))
        }
    }
}

/// The program that runs the models, and the folder for its output.
struct Models {
    program: PathBuf,
    work: PathBuf,
}

impl Models {
    fn build(target: &Path, work: PathBuf) -> anyhow::Result<Models> {
        let mut cargo = build::cargo();
        cargo
            .args(["test", "--release", "-p", "loom-tests", "--test", "models", "--no-run"])
            .env("RUSTFLAGS", build::flags("--cfg reorder_loom --cfg crossbeam_loom"))
            .env("CARGO_TARGET_DIR", target);
        let program = build::test_program(&mut cargo)?;
        Ok(Models { program, work })
    }

    /// Returns the accesses that any model reaches. Few preemptions and executions are enough for
    /// that.
    fn accesses(&self) -> anyhow::Result<String> {
        let (list, log) = (self.work.join("accesses"), self.work.join("log"));
        let mut models = Command::new(&self.program);
        models
            .args(["--test-threads", "2"])
            .env("LOOM_MAX_PREEMPTIONS", "1")
            .env("LOOM_MAX_PERMUTATIONS", "20000")
            .env("REORDER_ORDERINGS", &list);
        if !build::run_logged(&mut models, &log, None)?.is_some_and(|status| status.success()) {
            let log = fs::read_to_string(&log)?;
            let tail = log.lines().count().saturating_sub(40);
            log.lines().skip(tail).for_each(|line| println!("{line}"));
            bail!("a model fails before anything is weakened");
        }
        fs::read_to_string(&list).context("no model reports its accesses")
    }

    /// Weakens one part of an access, and runs the models until one fails.
    fn fate(&self, orderings: &Orderings, mutant: &Mutant) -> anyhow::Result<Fate> {
        let Mutant { place, part, label } = mutant;
        let models = orderings.models(label, *part);
        for model in &models {
            let name = format!("{label}-{}-{}.log", part.name(), model.replace("::", "-"));
            let log = self.work.join(name);
            let mut command = Command::new("bash");
            command
                .arg("-c")
                .arg(format!("ulimit -t {PROCESSOR_SECONDS}; exec \"$0\" \"$@\""))
                .arg(&self.program)
                .args(["--exact", model, "--nocapture"])
                .env("REORDER_WEAKEN", format!("{place}:{}", part.name()))
                .env("REORDER_END_AT_PANIC", "1");
            // A model that takes too long has noticed nothing.
            let Some(status) = build::run_logged(&mut command, &log, Some(TIME_LIMIT))? else {
                continue;
            };
            let log = String::from_utf8_lossy(&fs::read(&log)?).into_owned();
            if let Some(why) = build::panic_message(&log).filter(|_| !status.success()) {
                return Ok(Fate::Killed(model.clone(), why.to_owned()));
            }
        }
        let argued = orderings.is_argued(label, *part);
        Ok(if argued { Fate::Argued } else { Fate::Survived(models) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accesses_get_the_label_of_the_note_above() {
        let folder = tempfile::tempdir().unwrap();
        let source = "fn f() {
            // ORDERING: a:one: Release pairs with `b:two`.
            // More.
            x.swap(1, AcqRel);
            // ORDERING: model:own: Relaxed.
            y.load(Relaxed);
        }";
        fs::write(folder.path().join("a.rs"), source).unwrap();
        let found =
            mutants("a.rs:6:acquire\na.rs:4:release\na.rs:4:acquire\n", folder.path()).unwrap();
        let mutant = |part| Mutant { place: "a.rs:4".into(), part, label: "a:one".into() };
        assert_eq!(found, [mutant(Part::Release), mutant(Part::Acquire)]);
        assert!(mutants("a.rs:1:release\n", folder.path()).is_err());
        assert!(mutants("a.rs:4:both\n", folder.path()).is_err());
    }

    #[test]
    fn pairs_that_no_model_reaches_are_found() {
        let data = "[[ring.pair]]\nrelease = ['a:x']\nacquire = ['b:y refused']\ncarries = ''\n\
                    models = []\n[executor]\n";
        let data = Orderings::parse(data).unwrap();
        let reached = |labels: &[&str]| labels.iter().map(|&l| l.to_owned()).collect();
        assert_eq!(unreached(data.books(), &reached(&["a:x"])), ["b:y"]);
        assert_eq!(unreached(data.books(), &reached(&["a:x", "b:y", "c:z"])), Vec::<&str>::new());
    }
}
