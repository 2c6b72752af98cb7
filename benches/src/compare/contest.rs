//! Rounds in which every peer has its turn, so that what changes on the machine changes for all.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use hdrhistogram::Histogram;

use super::Settings;
use super::report::Record;

/// The peer that all others are compared with.
pub(crate) const OURS: &str = "ours";

/// What one run told.
#[derive(Debug, Default)]
pub(crate) struct Sample {
    /// How long it took, by items, in nanoseconds.
    pub(crate) nanos: f64,
    pub(crate) extra: Extra,
}

/// What a workload tells beyond times.
#[derive(Debug, Default)]
pub(crate) struct Extra {
    /// How long batches took, in nanoseconds.
    pub(crate) latencies: Option<Histogram<u64>>,
    /// How many items a batch has, where batches are counted.
    pub(crate) batch: Option<u64>,
    /// The most items that were outstanding.
    pub(crate) peak: Option<u64>,
    /// How many items there were, where only the end of all but the first was timed.
    pub(crate) others: Option<u64>,
    /// The size of the output in bytes.
    pub(crate) bytes: Option<u64>,
}

impl Extra {
    fn add(&mut self, other: Extra) {
        match (&mut self.latencies, other.latencies) {
            (Some(all), Some(more)) => all.add(more).expect("all have the same bounds"),
            (all, more) => *all = all.take().or(more),
        }
        self.batch = self.batch.or(other.batch);
        self.peak = self.peak.max(other.peak);
        self.others = self.others.or(other.others);
        self.bytes = self.bytes.or(other.bytes);
    }
}

/// Measures once. An error says what was wrong with the results.
type Measure<'a> = Box<dyn FnMut(Round) -> Result<Sample, String> + 'a>;

/// Which time it is that a peer has its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Round {
    /// To warm up. What it took does not count, so more can be checked.
    First,
    Measured,
}

struct Entry<'a> {
    peer: &'static str,
    measure: Measure<'a>,
}

/// The peers that do a workload, with a number of threads.
pub(crate) struct Contest<'a> {
    workload: String,
    threads: usize,
    settings: &'a Settings,
    entries: Vec<Entry<'a>>,
}

/// What came of a contest.
#[derive(Default)]
pub(crate) struct Outcome {
    pub(crate) records: Vec<Record>,
    /// A line for every peer whose results were wrong. It has no record.
    pub(crate) wrong: Vec<String>,
}

impl<'a> Contest<'a> {
    pub(crate) fn new(workload: impl Into<String>, threads: usize, settings: &'a Settings) -> Self {
        Contest { workload: workload.into(), threads, settings, entries: Vec::new() }
    }

    /// Lets a peer take part, if it is wanted: only then it is made.
    pub(crate) fn enter<P: 'a>(
        &mut self,
        peer: &'static str,
        make: impl FnOnce() -> P,
        mut measure: impl FnMut(&P, Round) -> Result<Sample, String> + 'a,
    ) {
        if self.settings.wants(peer) {
            let made = make();
            self.entries
                .push(Entry { peer, measure: Box::new(move |round| measure(&made, round)) });
        }
    }

    pub(crate) fn run(mut self) -> Outcome {
        let mut samples = BTreeMap::<&str, Vec<f64>>::new();
        let mut extras = BTreeMap::<&str, Extra>::new();
        let mut wrong = BTreeMap::<&str, String>::new();
        for round in 0..=self.settings.rounds() {
            let kind = if round == 0 { Round::First } else { Round::Measured };
            // Each round begins with another peer, so that nobody always comes after the same one.
            let first = round % self.entries.len().max(1);
            self.entries.rotate_left(first);
            for Entry { peer, measure } in &mut self.entries {
                // Until threads that look for more work have gone to sleep.
                thread::sleep(Duration::from_millis(1));
                match measure(kind) {
                    Ok(sample) => {
                        extras.entry(peer).or_default().add(sample.extra);
                        if kind == Round::Measured {
                            samples.entry(peer).or_default().push(sample.nanos);
                        }
                    }
                    Err(what) => _ = wrong.entry(peer).or_insert(what),
                }
            }
            self.entries.rotate_right(first);
        }
        let peers: Vec<_> = self.entries.iter().map(|entry| entry.peer).collect();
        self.outcome(&peers, samples, extras, wrong)
    }

    fn outcome(
        &self,
        peers: &[&'static str],
        mut samples: BTreeMap<&str, Vec<f64>>,
        mut extras: BTreeMap<&str, Extra>,
        mut wrong: BTreeMap<&str, String>,
    ) -> Outcome {
        let mut outcome = Outcome::default();
        for peer in peers {
            if let Some(what) = wrong.remove(peer) {
                let Contest { workload, threads, .. } = self;
                outcome.wrong.push(format!("{workload}, {threads} threads, {peer}: {what}"));
            } else if let Some(rounds) = samples.remove(peer) {
                let extra = extras.remove(peer).unwrap_or_default();
                outcome.records.push(Record::new(
                    &self.workload,
                    self.threads,
                    peer,
                    rounds,
                    &extra,
                ));
            }
        }
        Record::compare(&mut outcome.records, OURS);
        outcome
    }
}

/// Compares results with what they should be.
pub(crate) fn same<U: PartialEq>(results: &[U], expected: &[U]) -> Result<(), String> {
    if results.len() != expected.len() {
        return Err(format!("{} results of {} items", results.len(), expected.len()));
    }
    match results.iter().zip(expected).position(|(result, expected)| result != expected) {
        None => Ok(()),
        Some(index) => Err(format!("the result at {index} is not the one of item {index}")),
    }
}
