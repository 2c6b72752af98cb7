//! A call, the fates of its items, and the check of its outcomes.

use std::fmt;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use reorder_executor::{CancellationToken, Failure, Job, Outcome};
use reorder_requests::{Attempt, AttemptOutcome};
use reorder_stress::{Counted, ItemId};

use crate::counts::Counts;
use crate::fault::{self, FAULT, Fault, has_fault};
use crate::watch;

/// The attempts that the budget of an item allows.
pub(crate) const ATTEMPTS: u32 = 4;

/// The work and the ends of the jobs of a call.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    pub(crate) items: usize,
    /// The units of work of an item.
    pub(crate) units: usize,
    /// Set if some items panic.
    pub(crate) panics: bool,
    /// Set if some items need several attempts.
    pub(crate) is_request: bool,
    /// The item that returns an error.
    pub(crate) fails_at: Option<usize>,
    /// The item whose job waits until it should stop.
    pub(crate) overdue_at: Option<usize>,
}

/// The end of an item that nothing ends early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It has its value after this number of attempts.
    Value(u32),
    Exhausted,
    Fails,
    Panics,
    Overdue,
}

/// The error of a job: its item, and the number of the attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refusal(ItemId, u32);

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Refusal(ItemId { call, index }, attempt) = self;
        write!(f, "attempt {attempt} at item {index} of call {call:#x}")
    }
}

impl std::error::Error for Refusal {}

/// The events that may end an item early.
#[derive(Clone, Debug)]
pub(crate) struct Ends {
    pub(crate) start: Instant,
    pub(crate) timeout: Option<Duration>,
    pub(crate) deadline: Option<Instant>,
    pub(crate) token: Option<CancellationToken>,
    pub(crate) fails_fast: bool,
}

impl Ends {
    /// Returns the events of a call that nothing ends early.
    pub(crate) fn never() -> Ends {
        Ends {
            start: Instant::now(),
            timeout: None,
            deadline: None,
            token: None,
            fails_fast: false,
        }
    }
}

/// A call. Its jobs share it with the client.
pub(crate) struct Call {
    pub(crate) number: u64,
    pub(crate) name: &'static str,
    pub(crate) plan: Plan,
    /// The number of times that each item has run.
    runs: Box<[AtomicU32]>,
    has_failed: AtomicBool,
    progress: AtomicU64,
}

impl Call {
    pub(crate) fn new(number: u64, name: &'static str, plan: Plan) -> Arc<Call> {
        if FAULT.get() == Some(&Fault::Growing) {
            std::mem::forget(vec![0_u8; 4096]);
        }
        Arc::new(Call {
            runs: (0..plan.items).map(|_| AtomicU32::new(0)).collect(),
            number,
            name,
            plan,
            has_failed: AtomicBool::new(false),
            progress: AtomicU64::new(0),
        })
    }

    pub(crate) fn id(&self, index: usize) -> ItemId {
        ItemId { call: self.number, index }
    }

    /// Returns the source of the call.
    pub(crate) fn items(&self) -> impl ExactSizeIterator<Item = Counted> + Send + use<> {
        let call = self.number;
        (0..self.plan.items).map(move |index| Counted::new(ItemId { call, index }))
    }

    /// Returns the number of events that show that the call goes on.
    pub(crate) fn progress(&self) -> u64 {
        self.progress.load(SeqCst)
    }

    /// Notes that the call goes on.
    pub(crate) fn step(&self) {
        self.progress.fetch_add(1, SeqCst);
    }

    fn fate(&self, index: usize) -> Fate {
        let id = self.id(index);
        match &self.plan {
            plan if plan.overdue_at == Some(index) => Fate::Overdue,
            plan if plan.fails_at == Some(index) => Fate::Fails,
            plan if plan.panics && id.job_panics() => Fate::Panics,
            plan if plan.is_request => match id.random(8) {
                0 => Fate::Exhausted,
                needed @ 1..4 => Fate::Value(1 + needed as u32),
                _ => Fate::Value(1),
            },
            _ => Fate::Value(1),
        }
    }

    /// Runs the job of an item. `number` is the attempt, from 1 on.
    fn start(&self, item: &Counted, number: u32) -> Fate {
        let id = item.id();
        assert_eq!(id.call, self.number, "{self:?} runs the item of another call");
        let before = self.runs[id.index].fetch_add(1, SeqCst);
        assert_eq!(before + 1, number, "{id:?} of {self:?} runs too often");
        id.work();
        watch::work(self.plan.units);
        self.fate(id.index)
    }

    /// Ends the job of an item.
    fn end(&self, id: ItemId, fate: Fate) -> Result<Counted, Refusal> {
        if fate == Fate::Fails || fate == Fate::Panics {
            self.has_failed.store(true, SeqCst);
        }
        self.step();
        match fate {
            Fate::Panics => resume_unwind(Box::new(id)),
            Fate::Fails => Err(Refusal(id, 1)),
            Fate::Value(_) | Fate::Exhausted | Fate::Overdue => Ok(self.result(id)),
        }
    }

    fn result(&self, mut id: ItemId) -> Counted {
        if has_fault(Fault::Swapped, id.call) && self.plan.items > 1 && id.index < 2 {
            id.index ^= 1;
        }
        Counted::new(id)
    }

    /// Runs the job of an item that no limit ends.
    pub(crate) fn job(&self, item: Counted) -> Counted {
        let id = item.id();
        if has_fault(Fault::Repeated, id.call) && id.index == 1 {
            self.start(&item, 1);
        }
        fault::stick(id.call, self.name);
        let fate = self.start(&item, 1);
        if has_fault(Fault::Leaked, id.call) && id.index == 1 {
            std::mem::forget(item);
        }
        self.end(id, fate).expect("an item that fails has limits")
    }

    /// Runs the job of an item with limits.
    pub(crate) fn limited_job(&self, item: &Counted, job: &Job<'_>) -> Result<Counted, Refusal> {
        let fate = self.start(item, 1);
        while fate == Fate::Overdue && !job.should_stop() {
            thread::sleep(Duration::from_micros(200));
        }
        self.end(item.id(), fate)
    }

    /// Runs an attempt at an item of requests.
    pub(crate) fn attempt(
        &self,
        item: &Counted,
        attempt: &Attempt,
    ) -> AttemptOutcome<Counted, Refusal> {
        watch::attempt();
        let (id, number) = (item.id(), attempt.number());
        assert_eq!(attempt.index(), id.index as u64, "{self:?}");
        let fate = self.start(item, number);
        while fate == Fate::Overdue && !attempt.should_stop() {
            thread::sleep(Duration::from_micros(200));
        }
        let (needed, is_last) = match fate {
            Fate::Value(needed) => (needed, false),
            Fate::Exhausted => (u32::MAX, number == ATTEMPTS),
            _ => (1, false),
        };
        if number >= needed {
            return self.end(id, fate).into();
        }
        if is_last {
            self.has_failed.store(true, SeqCst);
        }
        self.step();
        let after = (id.random(3) == 0).then_some(Duration::from_micros(500));
        AttemptOutcome::Retry { error: Refusal(id, number), after }
    }

    /// Checks that the outcome of an item is the right one, and that the item ran as often as it
    /// should.
    pub(crate) fn check<E: fmt::Display>(
        &self,
        index: usize,
        outcome: Outcome<Counted, E>,
        ends: &Ends,
        counts: &mut Counts,
    ) {
        self.step();
        let (id, fate) = (self.id(index), self.fate(index));
        let now = Instant::now();
        let runs = self.runs[index].load(SeqCst);
        let is_cancelled = ends.token.as_ref().is_some_and(CancellationToken::is_cancelled);
        let is_right = match &outcome {
            // A job that ends after the cancellation, before the client takes the outcome, has its
            // value. No value counts after a deadline.
            Ok(value) => {
                let is_due = fate == Fate::Value(runs) || fate == Fate::Overdue && is_cancelled;
                is_due && value.id() == id
            }
            Err(Failure::Failed { error, .. }) => {
                fate == Fate::Fails && runs == 1 && error.to_string() == Refusal(id, 1).to_string()
            }
            Err(failure @ Failure::RetriesExhausted { .. }) => {
                let last = Refusal(id, ATTEMPTS).to_string();
                fate == Fate::Exhausted && runs == ATTEMPTS && failure.to_string().contains(&last)
            }
            Err(Failure::Panicked(_)) => fate == Fate::Panics && runs == 1,
            Err(Failure::Cancelled { .. }) => {
                is_cancelled || ends.fails_fast && self.has_failed.load(SeqCst)
            }
            Err(Failure::ItemDeadline { .. }) => {
                ends.timeout.is_some_and(|timeout| now >= ends.start + timeout)
            }
            Err(Failure::BatchDeadline { .. }) => ends.deadline.is_some_and(|end| now >= end),
            Err(_) => false,
        };
        let text = outcome.as_ref().err().map(ToString::to_string);
        assert!(
            is_right,
            "{id:?} of {self:?} should be {fate:?}, and ran {runs} times: {:?}, {text:?}",
            outcome.as_ref().ok()
        );
        let is_too_late = ends.deadline.is_some_and(|deadline| deadline <= ends.start);
        assert!(!is_too_late || runs == 0, "{id:?} of {self:?} started after its deadline");
        counts.add(match outcome {
            Ok(_) => "values",
            Err(Failure::Failed { .. }) => "failed",
            Err(Failure::RetriesExhausted { .. }) => "exhausted",
            Err(Failure::Panicked(panic)) => {
                let payload = panic.into_payload().downcast::<ItemId>();
                assert!(payload.is_ok_and(|item| *item == id), "{id:?} has another panic");
                "panicked"
            }
            Err(Failure::Cancelled { .. }) => "cancelled",
            Err(Failure::ItemDeadline { .. }) => "item deadlines",
            Err(_) => "batch deadlines",
        });
    }

    /// Returns the number of times that items have run.
    pub(crate) fn total_runs(&self) -> u64 {
        self.runs.iter().map(|runs| u64::from(runs.load(SeqCst))).sum()
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "call {:#x} ({}, {:?})", self.number, self.name, self.plan)
    }
}
