//! The times at which the items of a call ran, for users that ask for them.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use crate::memory;
use crate::primitive::{AtomicUsize, Mutex, MutexGuard, lock, now};

/// The times of one item. Returned by [`BatchReport::timings`](crate::BatchReport::timings), which
/// has an example, and by [`Ordered::timing`](crate::Ordered::timing).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    submitted: Instant,
    ran: Option<Ran>,
    waited: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ran {
    started: Instant,
    completed: Instant,
    order: usize,
}

impl Timing {
    /// Returns when the batch was submitted.
    pub fn submitted(&self) -> Instant {
        self.submitted
    }

    /// Returns when the item started, or `None` if it did not start or was given up before its
    /// result came.
    pub fn started(&self) -> Option<Instant> {
        self.ran.map(|ran| ran.started)
    }

    /// Returns when the job of the item returned or panicked, or when its
    /// [dispatcher](crate::dispatch) completed the item. It is `None` if
    /// [`started`](Timing::started) is.
    pub fn completed(&self) -> Option<Instant> {
        self.ran.map(|ran| ran.completed)
    }

    /// Returns the number of items of the batch that completed before this item. It is `None` if
    /// [`started`](Timing::started) is.
    pub fn completion_order(&self) -> Option<usize> {
        self.ran.map(|ran| ran.order)
    }

    /// Returns the time for which the result of this item waited for earlier items: from its
    /// completion until all of them had completed.
    pub fn waited(&self) -> Duration {
        self.waited
    }
}

/// Records the times of one call.
pub(crate) struct TimingLog {
    submitted: Instant,
    completed: AtomicUsize,
    /// The timings that workers leave for the consumer of a stream, each with its index. One place
    /// for each item of the window.
    places: Box<[Mutex<Noted>]>,
    /// The same if outstanding items may have distant indices. There are no `places` then.
    sparse: Mutex<BTreeMap<u64, Timing>>,
}

type Noted = Option<(u64, Timing)>;

impl TimingLog {
    /// Returns a log for a window of `window` items. The window is 0 if no consumer takes timings.
    pub(crate) fn new(window: usize) -> TimingLog {
        let places = memory::filled(window, || Mutex::new(None));
        let (completed, sparse) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
        TimingLog { submitted: now(), completed, places, sparse }
    }

    /// Returns a log for items of any index. Each of them has to be taken.
    pub(crate) fn sparse() -> TimingLog {
        TimingLog::new(0)
    }

    /// Returns the timing of an item that is done.
    pub(crate) fn timing(&self, started: Option<Instant>, completed: Option<Instant>) -> Timing {
        let ran = started.zip(completed).map(|(started, completed)| Ran {
            started,
            completed,
            // ORDERING: timing_log:order: Relaxed; a number.
            order: self.completed.fetch_add(1, Relaxed),
        });
        Timing { submitted: self.submitted, ran, waited: Duration::ZERO }
    }

    fn place(&self, index: u64) -> MutexGuard<'_, Noted> {
        let place = &self.places[(index % self.places.len() as u64) as usize];
        lock(place)
    }

    /// Stores the timing of an item, before its outcome is delivered.
    pub(crate) fn note(&self, index: u64, started: Option<Instant>, completed: Option<Instant>) {
        let timing = self.timing(started, completed);
        if self.places.is_empty() {
            lock(&self.sparse).insert(index, timing);
            return;
        }
        let mut place = self.place(index);
        // An item that was given up may end after a later item has taken its place.
        if place.is_none_or(|(noted, _)| noted < index) {
            *place = Some((index, timing));
        }
    }

    /// Returns the timing of an item that has an outcome.
    pub(crate) fn take(&self, index: u64) -> Timing {
        let noted = if self.places.is_empty() {
            lock(&self.sparse).remove(&index)
        } else {
            let noted = self.place(index).filter(|&(noted, _)| noted == index);
            noted.map(|(_, timing)| timing)
        };
        noted.unwrap_or_else(|| self.timing(None, None))
    }
}

/// The latest completion of the items that were seen, in the order of the items.
#[derive(Default)]
pub(crate) struct CompletionFrontier(Option<Instant>);

impl CompletionFrontier {
    /// Sets how long the item had to wait for those before it.
    pub(crate) fn note(&mut self, timing: &mut Timing) {
        let Some(completed) = timing.completed() else { return };
        let slice = self.0.map_or(completed, |last| last.max(completed));
        timing.waited = slice - completed;
        self.0 = Some(slice);
    }
}

/// Sets how long each item had to wait for those before it.
pub(crate) fn note_waits(timings: &mut [Timing]) {
    let mut frontier = CompletionFrontier::default();
    timings.iter_mut().for_each(|timing| frontier.note(timing));
}

/// The start or the end of an item. At the same instant, ends come first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    End(usize),
    Start(usize),
}

fn events(timings: &[Timing]) -> Vec<(Instant, Event)> {
    let ran = timings.iter().enumerate().filter_map(|(index, timing)| Some((index, timing.ran?)));
    let mut events: Vec<_> = ran
        .flat_map(|(index, ran)| {
            // An item takes some time, even if the clock does not show it.
            let end = ran.completed.max(ran.started + Duration::from_nanos(1));
            [(ran.started, Event::Start(index)), (end, Event::End(index))]
        })
        .collect();
    events.sort_unstable();
    events
}

/// Returns the maximum number of items that ran at the same time.
pub(crate) fn peak_concurrency(timings: &[Timing]) -> usize {
    let (mut running, mut peak) = (0_isize, 0);
    for (_, event) in events(timings) {
        running += if matches!(event, Event::Start(_)) { 1 } else { -1 };
        peak = peak.max(running);
    }
    peak as usize
}

/// Returns the maximum distance from the first missing item to the last started one.
pub(crate) fn window_high_water(timings: &[Timing]) -> usize {
    let mut is_over: Vec<bool> = timings.iter().map(|timing| timing.ran.is_none()).collect();
    let (mut head, mut reach, mut high) = (0, 0, 0);
    for (_, event) in events(timings) {
        match event {
            Event::Start(index) => reach = reach.max(index + 1),
            Event::End(index) => is_over[index] = true,
        }
        while is_over.get(head) == Some(&true) {
            head += 1;
        }
        high = high.max(reach.saturating_sub(head));
    }
    high
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the timings of items with these starts and ends, in milliseconds.
    fn timings(items: &[(u64, u64)]) -> Vec<Timing> {
        let submitted = Instant::now();
        let at = |millis| submitted + Duration::from_millis(millis);
        let mut timings: Vec<Timing> = items
            .iter()
            .enumerate()
            .map(|(order, &(started, completed))| Timing {
                submitted,
                ran: Some(Ran { started: at(started), completed: at(completed), order }),
                waited: Duration::ZERO,
            })
            .collect();
        note_waits(&mut timings);
        timings
    }

    #[test]
    fn a_result_waits_for_those_before_it() {
        let mut timings = timings(&[(0, 30), (0, 10), (10, 40), (10, 20)]);
        let waited = |timings: &[Timing]| -> Vec<u128> {
            timings.iter().map(|timing| timing.waited().as_millis()).collect()
        };
        assert_eq!(waited(&timings), [0, 20, 0, 20]);
        timings[0].ran = None;
        note_waits(&mut timings);
        assert_eq!(waited(&timings)[1..], [0, 0, 20], "what never completed holds nobody up");
    }

    #[test]
    fn a_straggler_does_not_take_the_place_of_a_later_item() {
        let clock = TimingLog::new(2);
        let at = Some(clock.submitted);
        clock.note(3, at, at);
        clock.note(1, at, at);
        assert_eq!(clock.take(1).completion_order(), None);
        assert_eq!(clock.take(3).completion_order(), Some(0));
        clock.note(5, at, at);
        assert_eq!(clock.take(5).completion_order(), Some(2));
        assert_eq!(clock.take(4).started(), None);
    }

    #[test]
    fn peaks_are_those_of_the_intervals() {
        let one_by_one = timings(&[(0, 1), (1, 2), (2, 3)]);
        assert_eq!((peak_concurrency(&one_by_one), window_high_water(&one_by_one)), (1, 1));
        let late_head = timings(&[(0, 9), (1, 2), (2, 3), (3, 4), (9, 10)]);
        assert_eq!((peak_concurrency(&late_head), window_high_water(&late_head)), (2, 4));
        assert_eq!((peak_concurrency(&[]), window_high_water(&[])), (0, 0));
    }
}
