//! Runs the peers of a workload in rounds. Every peer runs once per round, so a change of the
//! machine's load affects all of them.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use hdrhistogram::Histogram;

use super::report::Record;
use super::{Settings, code};

/// The name of our own peer, to which all others are compared.
pub(crate) const OURS: &str = "ours";

/// The measurement of one run.
#[derive(Debug, Default)]
pub(crate) struct Sample {
    /// The nanoseconds per item.
    pub(crate) nanos: f64,
    pub(crate) extra: Extra,
}

/// Figures besides the time per item, which only some workloads have.
#[derive(Debug, Default)]
pub(crate) struct Extra {
    /// The latencies of batches, in nanoseconds.
    pub(crate) latencies: Option<Histogram<u64>>,
    /// The number of items of a batch, if the workload reports batches per second.
    pub(crate) batch: Option<u64>,
    /// The largest number of items that were outstanding at once.
    pub(crate) peak: Option<u64>,
    /// The number of items, if the time ends when all items but the first have run.
    pub(crate) others: Option<u64>,
    /// The size of the output in bytes.
    pub(crate) bytes: Option<u64>,
    /// The peak of the allocator, and the budget of the peer, in bytes.
    pub(crate) budget: Option<(u64, u64)>,
}

impl Extra {
    fn add(&mut self, other: Extra) {
        match (&mut self.latencies, other.latencies) {
            (Some(all), Some(more)) => all.add(more).expect("the bounds are the same"),
            (all, more) => *all = all.take().or(more),
        }
        self.batch = self.batch.or(other.batch);
        self.peak = self.peak.max(other.peak);
        self.others = self.others.or(other.others);
        self.bytes = self.bytes.or(other.bytes);
        self.budget = self.budget.max(other.budget);
    }
}

/// Measures one run. An error describes a wrong result.
type Measure<'a> = Box<dyn FnMut(Round) -> Result<Sample, String> + 'a>;

/// The kind of a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Round {
    /// The first round. Its times do not count, so a workload can make checks that take time.
    WarmUp,
    Measured,
}

struct Entry<'a> {
    peer: &'static str,
    measure: Measure<'a>,
}

/// A comparison of peers in one workload, with one number of threads.
pub(crate) struct Comparison<'a> {
    workload: String,
    threads: usize,
    settings: &'a Settings,
    entries: Vec<Entry<'a>>,
}

/// The result of a comparison.
#[derive(Default)]
pub(crate) struct Outcome {
    pub(crate) records: Vec<Record>,
    /// A message for every peer with wrong results. Such a peer has no record.
    pub(crate) wrong: Vec<String>,
}

impl<'a> Comparison<'a> {
    pub(crate) fn new(workload: impl Into<String>, threads: usize, settings: &'a Settings) -> Self {
        Comparison { workload: workload.into(), threads, settings, entries: Vec::new() }
    }

    /// Creates and adds a peer if the settings ask for it.
    pub(crate) fn add_peer<P: 'a>(
        &mut self,
        peer: &'static str,
        make: impl FnOnce() -> P,
        mut measure: impl FnMut(&P, Round) -> Result<Sample, String> + 'a,
    ) {
        if self.settings.wants(peer) {
            let state = make();
            self.entries
                .push(Entry { peer, measure: Box::new(move |round| measure(&state, round)) });
        }
    }

    pub(crate) fn run(mut self) -> Outcome {
        let mut samples = BTreeMap::<&str, Vec<f64>>::new();
        let mut extras = BTreeMap::<&str, Extra>::new();
        let mut wrong = BTreeMap::<&str, String>::new();
        for round in 0..=self.settings.rounds() {
            let kind = if round == 0 { Round::WarmUp } else { Round::Measured };
            // Each round begins with another peer, so the first position is not always the same
            // peer's.
            let first = round % self.entries.len().max(1);
            self.entries.rotate_left(first);
            for Entry { peer, measure } in &mut self.entries {
                // The threads of the peer before, which still search for work, go to sleep.
                thread::sleep(Duration::from_millis(1));
                match measure(kind) {
                    Ok(sample) => {
                        extras.entry(peer).or_default().add(sample.extra);
                        if kind == Round::Measured {
                            samples.entry(peer).or_default().push(sample.nanos);
                        }
                    }
                    Err(error) => _ = wrong.entry(peer).or_insert(error),
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
            if let Some(error) = wrong.remove(peer) {
                let Comparison { workload, threads, .. } = self;
                outcome.wrong.push(format!("{workload}, {threads} threads, {peer}: {error}"));
            } else if let Some(rounds) = samples.remove(peer) {
                let extra = extras.remove(peer).unwrap_or_default();
                let Comparison { workload, threads, .. } = self;
                let mut record = Record::new(workload, *threads, peer, rounds, &extra);
                record.lines = code::lines(workload, peer);
                outcome.records.push(record);
            }
        }
        Record::compare(&mut outcome.records, OURS);
        outcome
    }
}

/// Fails if the results differ from the expected results.
pub(crate) fn check_results<U: PartialEq>(results: &[U], expected: &[U]) -> Result<(), String> {
    if results.len() != expected.len() {
        return Err(format!("{} results of {} items", results.len(), expected.len()));
    }
    match results.iter().zip(expected).position(|(result, expected)| result != expected) {
        None => Ok(()),
        Some(index) => Err(format!("the result at index {index} is wrong")),
    }
}
