//! The machine in a time of its own, against a reference that knows all that happens beforehand.

use super::*;

/// A number of the sequence of xorshift.
fn random(state: &mut u64, bound: u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    (*state >> 32) % bound
}

/// An item: when it would start, how long it takes, whether it fails.
#[derive(Clone, Copy, Debug)]
struct Item {
    start: u64,
    takes: u64,
    fails: bool,
}

const CANCELLED: Stop = Stop::Cancelled { cause: None };
const BATCH: Stop = Stop::BatchDeadline(Duration::ZERO);
const ITEM: Stop = Stop::ItemDeadline(Duration::ZERO);

/// Returns the reason without its details.
fn bare(stop: Stop) -> Stop {
    match stop {
        Stop::Cancelled { .. } => CANCELLED,
        Stop::BatchDeadline(_) => BATCH,
        Stop::ItemDeadline(_) => ITEM,
        Stop::ShutDown => unreachable!("nobody shuts down"),
    }
}

#[derive(Debug)]
struct Run {
    items: Vec<Item>,
    fails_fast: bool,
    deadline: Option<u64>,
    timeout: Option<u64>,
    cancelled: Option<u64>,
}

impl Run {
    fn new(state: &mut u64) -> Run {
        let items = (0..random(state, 8)).map(|_| Item {
            start: 0,
            takes: 1 + random(state, 400),
            fails: random(state, 4) == 0,
        });
        let mut items: Vec<Item> = items.collect();
        items.iter_mut().for_each(|item| item.start = random(state, 300));
        let mut sometimes = |bound| (random(state, 2) == 0).then(|| random(state, bound));
        Run {
            items,
            fails_fast: sometimes(2).is_some(),
            deadline: sometimes(500),
            timeout: sometimes(400),
            cancelled: sometimes(500),
        }
    }

    /// Returns the result of each item by definition. An item starts if nothing has ended the batch
    /// before. Its result counts if it comes before both of its deadlines.
    fn expected(&self) -> Vec<Result<bool, Stop>> {
        let mut order: Vec<usize> = (0..self.items.len()).collect();
        order.sort_by_key(|&index| self.items[index].start);
        let mut outcomes = vec![Ok(false); self.items.len()];
        let mut failed_at = u64::MAX;
        for index in order {
            outcomes[index] = self.outcome(index, failed_at);
            if self.fails_fast {
                failed_at = failed_at.min(self.failure(index, outcomes[index]));
            }
        }
        outcomes
    }

    fn outcome(&self, index: usize, failed_at: u64) -> Result<bool, Stop> {
        let Item { start, takes, fails } = self.items[index];
        if failed_at <= start || self.cancelled.is_some_and(|at| at <= start) {
            return Err(CANCELLED);
        }
        if self.deadline.is_some_and(|at| at <= start) {
            return Err(BATCH);
        }
        let end = start + takes;
        let own = self.timeout.map_or(u64::MAX, |timeout| start + timeout);
        let shared = self.deadline.unwrap_or(u64::MAX);
        if shared <= own && shared <= end {
            Err(BATCH)
        } else if own <= end {
            Err(ITEM)
        } else {
            Ok(fails)
        }
    }

    /// All that happens, in its order.
    fn events(&self) -> Vec<(u64, Event)> {
        let mut events: Vec<(u64, Event)> =
            self.cancelled.map(|time| (time, Event::Cancel)).into_iter().collect();
        for (index, item) in self.items.iter().enumerate() {
            events.push((item.start, Event::Start(index)));
            events.push((item.start + item.takes, Event::End(index)));
        }
        events.sort_unstable();
        events
    }

    /// Returns the token that cancels the run, and its state machine.
    fn policy(&self, at: impl Fn(u64) -> Instant) -> (CancellationToken, LimitPolicy) {
        let token = CancellationToken::new();
        let policy = LimitPolicy::new(Limits {
            fails_fast: self.fails_fast,
            deadline: self.deadline.map(at),
            item_timeout: self.timeout.map(Duration::from_nanos),
            tokens: vec![token.clone()],
            ..Limits::default()
        });
        (token, policy)
    }

    /// When the outcome of an item that has run ends a batch which fails fast.
    fn failure(&self, index: usize, outcome: Result<bool, Stop>) -> u64 {
        let Item { start, takes, .. } = self.items[index];
        let fails = matches!(outcome, Ok(true) | Err(ITEM));
        if fails { start + takes } else { u64::MAX }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    End(usize),
    Cancel,
    Start(usize),
}

/// Returns the results by the state machine.
fn played(run: &Run) -> (Vec<Result<bool, Stop>>, usize) {
    let zero = Instant::now();
    let at = |time: u64| zero + Duration::from_nanos(time);
    let (token, policy) = run.policy(at);
    let mut outcomes = vec![None; run.items.len()];
    for (time, event) in run.events() {
        let now = policy.is_timed().then(|| at(time));
        match event {
            Event::Cancel => token.cancel(),
            Event::Start(index) => outcomes[index] = policy.start(now).map_err(bare).err().map(Err),
            Event::End(index) if outcomes[index].is_some() => {}
            Event::End(index) => {
                let Item { start, fails, .. } = run.items[index];
                let started = policy.is_timed().then(|| at(start));
                let stopped = policy.should_stop(index as u64, started, now);
                let finished = policy.finish(started, now).map_err(bare);
                if matches!(finished, Ok(()) if fails) || finished == Err(ITEM) {
                    policy.fail(index as u64);
                }
                assert!(stopped || finished.is_ok(), "a job that is told to go on is in time");
                outcomes[index] = Some(finished.map(|()| fails));
            }
        }
    }
    (outcomes.into_iter().map(|outcome| outcome.expect("all have ended")).collect(), policy.late())
}

#[test]
fn random_runs_are_as_in_the_reference() {
    let mut state = 0x9E37_79B9_7F4A_7C15;
    let mut met = [0; 5];
    for _ in 0..100_000 {
        let run = Run::new(&mut state);
        let (outcomes, late) = played(&run);
        assert_eq!(outcomes, run.expected(), "{run:?}");
        let started = |index: usize| run.deadline.is_none_or(|at| run.items[index].start < at);
        let refused = outcomes
            .iter()
            .enumerate()
            .filter(|&(index, outcome)| started(index) && matches!(outcome, Err(BATCH | ITEM)));
        assert_eq!(late, refused.count(), "{run:?}");
        for outcome in outcomes {
            met[match outcome {
                Ok(false) => 0,
                Ok(true) => 1,
                Err(CANCELLED) => 2,
                Err(BATCH) => 3,
                Err(_) => 4,
            }] += 1;
        }
    }
    assert!(met.iter().all(|&count| count > 1000), "{met:?}");
}

/// A consumer that takes the items in order, and gives up on items that take too long.
struct Delivery<'a> {
    run: &'a Run,
    /// When an item's own outcome is there.
    completed: Vec<Option<Result<bool, Stop>>>,
    outcomes: Vec<Result<bool, Stop>>,
    failed: bool,
    late: usize,
}

impl<'a> Delivery<'a> {
    fn new(run: &'a Run) -> Self {
        let completed = vec![None; run.items.len()];
        Delivery { run, completed, outcomes: Vec::new(), failed: false, late: 0 }
    }

    /// Returns what has ended the call at `time`.
    fn stopped(&self, time: u64) -> Option<Stop> {
        if self.run.fails_fast && self.failed || self.run.cancelled.is_some_and(|at| at <= time) {
            Some(CANCELLED)
        } else {
            self.run.deadline.filter(|&at| at <= time).map(|_| BATCH)
        }
    }

    /// Which deadline of an item that has started has passed first, if one has.
    fn overdue(&self, index: usize, time: u64) -> Option<Stop> {
        let own =
            self.run.timeout.map_or(u64::MAX, |timeout| self.run.items[index].start + timeout);
        let shared = self.run.deadline.unwrap_or(u64::MAX);
        let stop = if shared <= own { BATCH } else { ITEM };
        (own.min(shared) <= time).then_some(stop)
    }

    /// Runs the events of an instant in their order: items end, items start, the consumer acts.
    fn step(&mut self, time: u64, did_start: &mut [bool]) {
        for (index, item) in self.run.items.iter().enumerate() {
            if did_start[index] && item.start + item.takes == time {
                let outcome = self.overdue(index, time).map_or(Ok(item.fails), Err);
                let is_given_up = index < self.outcomes.len();
                self.late += usize::from(is_given_up || outcome.is_err());
                self.failed |= matches!(outcome, Ok(true) | Err(ITEM));
                self.completed[index] = Some(outcome);
            }
        }
        for (index, item) in self.run.items.iter().enumerate() {
            if item.start == time {
                let stopped = self.stopped(time);
                did_start[index] = stopped.is_none();
                self.completed[index] = stopped.map(Err);
            }
        }
        while let Some(&completed) = self.completed.get(self.outcomes.len()) {
            let head = self.outcomes.len();
            let overdue = || self.overdue(head, time).filter(|_| did_start[head]);
            let cancelled = self.stopped(time).filter(|&stop| stop == CANCELLED);
            let skipped = cancelled.or_else(overdue).or_else(|| self.stopped(time));
            match completed.or(skipped.map(Err)) {
                None => break,
                Some(outcome) => {
                    self.failed |= completed.is_none() && outcome == Err(ITEM);
                    self.outcomes.push(outcome);
                }
            }
        }
    }
}

/// Returns what the consumer gets. It asks the state machine when something happens, and when it
/// was told to ask again.
fn delivered(run: &Run) -> (Vec<Result<bool, Stop>>, usize) {
    let zero = Instant::now();
    let at = |time: u64| zero + Duration::from_nanos(time);
    let (token, policy) = run.policy(at);
    let told = |time: u64| policy.is_timed().then(|| at(time));
    // At one instant: ends, the cancellation, starts, and then the consumer.
    let mut events = run.events().into_iter().peekable();
    let count = run.items.len();
    let (mut completed, mut started) = (vec![None; count], vec![None; count]);
    let mut outcomes = Vec::new();
    let mut timer = Some(0);
    while let Some(time) = events.peek().map(|&(time, _)| time).into_iter().chain(timer).min() {
        timer = None;
        while let Some((_, event)) = events.next_if(|&(next, _)| next == time) {
            match event {
                Event::Cancel => token.cancel(),
                Event::Start(index) => match policy.start(told(time)).map_err(bare) {
                    Ok(()) => started[index] = Some(time),
                    Err(stop) => completed[index] = Some(Err(stop)),
                },
                Event::End(index) if started[index].is_some() => {
                    let finished =
                        policy.finish(started[index].and_then(told), told(time)).map_err(bare);
                    let fails = run.items[index].fails;
                    if index < outcomes.len() && finished.is_ok() {
                        policy.count_late();
                    }
                    if matches!(finished, Ok(()) if fails) || finished == Err(ITEM) {
                        policy.fail(index as u64);
                    }
                    completed[index] = Some(finished.map(|()| fails));
                }
                Event::End(_) => {}
            }
        }
        while outcomes.len() < count {
            let head = outcomes.len();
            let skipped = || policy.give_up(started[head].and_then(told), told(time)).map_err(bare);
            let outcome = match completed[head].map_or_else(|| skipped().map_err(Err), Err) {
                Ok(until) => {
                    let nanos = until.map(|until| until.duration_since(zero).as_nanos() as u64);
                    assert!(nanos.is_none_or(|until| until > time), "a look that is worth it");
                    timer = nanos;
                    break;
                }
                Err(outcome) => outcome,
            };
            if completed[head].is_none() && outcome == Err(ITEM) {
                policy.fail(head as u64);
            }
            outcomes.push(outcome);
        }
    }
    (outcomes, policy.late())
}

#[test]
fn random_deliveries_are_as_in_the_reference() {
    let mut state = 0x2545_F491_4F6C_DD1D;
    let mut late = 0;
    for _ in 0..100_000 {
        let mut run = Run::new(&mut state);
        let shorter = |time: &mut u64| *time = *time / 8 + 1;
        for item in &mut run.items {
            shorter(&mut item.start);
            shorter(&mut item.takes);
        }
        [&mut run.deadline, &mut run.timeout, &mut run.cancelled]
            .into_iter()
            .flatten()
            .for_each(shorter);
        let mut reference = Delivery::new(&run);
        let mut did_start = vec![false; run.items.len()];
        (0..120).for_each(|time| reference.step(time, &mut did_start));
        assert_eq!(delivered(&run), (reference.outcomes, reference.late), "{run:?}");
        late += reference.late;
    }
    assert!(late > 10_000, "{late} late");
}

#[test]
fn a_failure_in_order_cancels_only_the_items_behind_it() {
    let policy = LimitPolicy::new(Limits { fails_in_order: true, ..Limits::default() });
    let cancelled = |cause| Err(Stop::Cancelled { cause: Some(cause) });
    policy.fail(5);
    assert_eq!(policy.start_item(4, None), Ok(()));
    assert_eq!(policy.start_item(6, None), cancelled(5));
    policy.fail(3);
    policy.fail(4);
    assert_eq!(policy.start_item(2, None), Ok(()));
    assert_eq!(policy.start_item(4, None), cancelled(3));
    // Running items before the failure go on. They may have nested calls.
    assert!(!policy.should_stop(3, None, None) && policy.should_stop(4, None, None));
    assert_eq!((policy.cause(), policy.reaction(9)), (None, None));
}

#[test]
fn a_timeout_beyond_the_clock_is_none() {
    let policy =
        LimitPolicy::new(Limits { item_timeout: Some(Duration::MAX), ..Limits::default() });
    let now = Instant::now();
    assert_eq!(policy.finish(Some(now), Some(now + Duration::from_secs(1))), Ok(()));
}
