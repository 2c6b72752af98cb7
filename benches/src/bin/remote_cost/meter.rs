//! The jobs, and the time in which they run.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::{Case, SETTLE};

/// Notes when jobs ran. Its clones share the notes.
#[derive(Clone)]
pub(crate) struct Meter {
    case: Case,
    begin: Instant,
    jobs: Arc<Mutex<Vec<(Instant, Instant)>>>,
}

impl Meter {
    /// Returns a meter whose measurement begins soon.
    pub(crate) fn start(case: Case) -> Meter {
        Meter { case, begin: Instant::now() + SETTLE, jobs: Arc::default() }
    }

    /// Runs a job: it sleeps, and returns its item.
    pub(crate) fn run(&self, item: u64) -> u64 {
        let begin = Instant::now();
        thread::sleep(self.case.job);
        let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        jobs.push((begin, Instant::now()));
        item
    }

    pub(crate) fn end(&self) -> Instant {
        self.begin + self.case.time
    }

    pub(crate) fn is_over(&self) -> bool {
        Instant::now() >= self.end()
    }

    /// Returns the use of the workers' time between the begin and the end of the measurement. A job
    /// that has not ended by then is missing, so wait for it.
    pub(crate) fn usage(&self) -> Usage {
        let mut usage =
            Usage { workers: self.case.time * self.case.workers as u32, ..Usage::none() };
        for &(begin, end) in &*self.jobs.lock().unwrap_or_else(PoisonError::into_inner) {
            let inside = end.min(self.end()).saturating_duration_since(begin.max(self.begin));
            usage.busy += inside;
            usage.jobs += inside.as_secs_f64() / (end - begin).as_secs_f64();
        }
        usage
    }
}

/// The use of the workers' time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    /// The time of all workers together.
    workers: Duration,
    /// The part of it in which jobs ran.
    busy: Duration,
    /// The number of jobs. A job at an edge counts in part.
    jobs: f64,
}

impl Usage {
    fn none() -> Usage {
        Usage { workers: Duration::ZERO, busy: Duration::ZERO, jobs: 0.0 }
    }

    pub(crate) fn used(self) -> String {
        format!("{:.1} %", 100.0 * self.busy.as_secs_f64() / self.workers.as_secs_f64())
    }

    pub(crate) fn cost(self) -> String {
        let rest = self.workers.as_secs_f64() - self.busy.as_secs_f64();
        format!("{:.0} µs", 1e6 * rest / self.jobs)
    }
}
