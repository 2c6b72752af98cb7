//! Notices calls that wait longer than their own work explains.
//!
//! A busy machine slows down all threads. So the time of a call is compared with the work that the
//! whole process completes in the same time. If a call makes no progress at all while the others
//! complete the work of many seconds, then the executor has forgotten it, or starves it.
//!
//! | the call | makes progress | starves if the others meanwhile |
//! |---|---|---|
//! | any | when an item ends or an outcome comes | complete [`MOST_WORK`] |
//! | requests | the same | complete [`MOST_WORK`], and have made [`MOST_ATTEMPTS`] |
//!
//! If the others are stuck as well, no work is completed. For this case there is a limit in time.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use reorder_executor::Executor;
use reorder_stress::Random;

use crate::CLIENTS;
use crate::call::Call;

/// The units of work that others complete before a call without progress counts as starved. The
/// work takes several seconds of processor time.
const MOST_WORK: u64 = 4_000_000;
/// The attempts that others make before requests without progress count as starved: 20 for each
/// batch that may be open.
const MOST_ATTEMPTS: u64 = 20 * 4 * CLIENTS as u64;
/// The time without progress after which a call hangs.
const HANGS: Duration = Duration::from_secs(180);

/// The units of work that all jobs have completed.
static WORK: AtomicU64 = AtomicU64::new(0);
/// The attempts at the shared limiter.
static ATTEMPTS: AtomicU64 = AtomicU64::new(0);

/// Works for `units` of about a microsecond, and counts them.
pub(crate) fn work(units: usize) {
    let mut random = Random::new(units as u64);
    for _ in 0..units * 500 {
        black_box(random.below(2));
    }
    WORK.fetch_add(units as u64 + 1, Relaxed);
}

/// Counts an attempt at the shared limiter.
pub(crate) fn attempt() {
    ATTEMPTS.fetch_add(1, Relaxed);
}

/// The calls that the clients wait for.
#[derive(Default)]
pub(crate) struct Watch {
    calls: [Mutex<Option<Arc<Call>>>; CLIENTS],
    ends: AtomicBool,
}

/// The call of a client, and the counters at its last progress.
struct Seen {
    call: Option<Arc<Call>>,
    progress: u64,
    since: Instant,
    work: u64,
    attempts: u64,
}

impl Watch {
    /// Notes the call that a client waits for from now on.
    pub(crate) fn set(&self, client: usize, call: Option<&Arc<Call>>) {
        *self.calls[client].lock().unwrap_or_else(PoisonError::into_inner) = call.cloned();
    }

    /// Ends [`watch`](Watch::watch).
    pub(crate) fn end(&self) {
        self.ends.store(true, Relaxed);
    }

    /// Watches all clients until [`end`](Watch::end). Returns the longest wait of a call without
    /// progress, as a part of the limit.
    pub(crate) fn watch(&self, executor: &Executor) -> f64 {
        let mut longest: f64 = 0.0;
        let mut clients: [Seen; CLIENTS] = std::array::from_fn(|_| Seen::of(None));
        while !self.ends.load(Relaxed) {
            for (client, seen) in clients.iter_mut().enumerate() {
                let call = self.calls[client].lock().unwrap_or_else(PoisonError::into_inner);
                let call = call.clone();
                if let Err(reason) = seen.update(call) {
                    println!("service: {}", executor.snapshot());
                    panic!("client {client} {reason}");
                }
                longest = longest.max(seen.wait());
            }
            thread::sleep(Duration::from_millis(10));
        }
        longest
    }
}

impl Seen {
    fn of(call: Option<Arc<Call>>) -> Seen {
        Seen {
            progress: call.as_ref().map_or(0, |call| call.progress()),
            call,
            since: Instant::now(),
            work: WORK.load(Relaxed),
            attempts: ATTEMPTS.load(Relaxed),
        }
    }

    /// Returns the wait since the last progress, as a part of the limit.
    fn wait(&self) -> f64 {
        let work = (WORK.load(Relaxed) - self.work) as f64 / MOST_WORK as f64;
        let attempts = (ATTEMPTS.load(Relaxed) - self.attempts) as f64 / MOST_ATTEMPTS as f64;
        match &self.call {
            None => 0.0,
            Some(call) if call.plan.is_request => work.min(attempts),
            Some(_) => work,
        }
    }

    /// Notes the call of a client. Returns an error if the call starves or hangs.
    fn update(&mut self, call: Option<Arc<Call>>) -> Result<(), String> {
        let is_stuck = match (&self.call, &call) {
            (Some(old), Some(new)) => Arc::ptr_eq(old, new) && new.progress() == self.progress,
            _ => false,
        };
        if !is_stuck {
            *self = Seen::of(call);
            return Ok(());
        }
        let name = call.map_or_else(String::new, |call| format!("{call:?}"));
        let (wait, time) = (self.wait(), self.since.elapsed());
        if wait > 1.0 || time > HANGS {
            let verb = if wait > 1.0 { "starves" } else { "hangs" };
            let work = WORK.load(Relaxed) - self.work;
            let attempts = ATTEMPTS.load(Relaxed) - self.attempts;
            return Err(format!(
                "{verb}: {work} units of work and {attempts} attempts in {time:.1?}, without \
                 progress of {name}"
            ));
        }
        Ok(())
    }
}
