//! Fetches the items: several threads with one batch each share an executor and a rate limiter.

use std::thread;
use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use reorder_executor::Failure;
use reorder_requests::RequestStats;

use crate::args::Args;
use crate::client::Client;
use crate::display::Display;
use crate::outcomes::KEYS;
use crate::requests::{Approach, Shared};
use crate::server::{LIMITS, Received, Server, content, peak};

/// The result of a batch.
#[derive(Default)]
pub(crate) struct Batch {
    pub(crate) number: u32,
    pub(crate) done: u32,
    /// The items that the server refused with an error that is not retried.
    pub(crate) failed: u32,
    /// The items that exceeded a budget of retries.
    pub(crate) given_up: u32,
    /// The outcomes with wrong content, or before an earlier item of their key.
    pub(crate) misplaced: u32,
    /// The time for which outcomes waited for other items, added up.
    pub(crate) waited: Duration,
    pub(crate) stats: RequestStats,
}

/// The result of a run of all batches.
pub(crate) struct Run {
    pub(crate) approach: Approach,
    pub(crate) items: u32,
    pub(crate) batches: Vec<Batch>,
    /// The requests that the server received.
    pub(crate) received: Vec<Received>,
    pub(crate) time: Duration,
}

impl Run {
    pub(crate) fn new(server: &Server, args: &Args, approach: Approach) -> Run {
        let shared = Shared::new(Client::new(server.address()), args, approach);
        let (shared, display, items) = (&shared, Display::new(), args.items);
        let start = Instant::now();
        let batches = thread::scope(|scope| {
            let threads: Vec<_> = (0..args.batches)
                .map(|number| {
                    let bar = display.batch(number, items);
                    scope.spawn(move || Batch::fetch(shared, number, items, &bar))
                })
                .collect();
            let join = |thread: thread::ScopedJoinHandle<'_, Batch>| thread.join();
            threads.into_iter().map(join).map(|batch| batch.expect("no caller panics")).collect()
        });
        Run { approach, items, batches, received: server.take(), time: start.elapsed() }
    }

    /// Returns `true` if every batch is complete and in order.
    pub(crate) fn is_complete(&self) -> bool {
        self.batches.iter().all(|batch| batch.is_complete(self.items))
    }

    /// Returns `true` if every batch is complete and in order, and a run within quotas never
    /// exceeded a limit of the server.
    pub(crate) fn is_correct(&self) -> bool {
        let is_within = LIMITS.iter().all(|limit| peak(&self.received, limit) <= limit.requests);
        self.is_complete() && (self.approach == Approach::Told || is_within)
    }

    /// Returns the number of requests with a status.
    pub(crate) fn count(&self, status: u16) -> usize {
        self.received.iter().filter(|request| request.status == status).count()
    }

    /// Returns for how long an outcome waited for other items, on average.
    pub(crate) fn mean_wait(&self) -> Duration {
        let all: Duration = self.batches.iter().map(|batch| batch.waited).sum();
        all / (self.items * self.batches.len() as u32).max(1)
    }
}

impl Batch {
    fn fetch(shared: &Shared, number: u32, items: u32, bar: &ProgressBar) -> Batch {
        let mut outcomes = shared.start(number, items);
        let mut batch = Batch { number, ..Batch::default() };
        // The next index that each key may have.
        let mut next_of_key = [0; KEYS as usize];
        while let Some((index, outcome)) = outcomes.next() {
            let next = &mut next_of_key[(index % u64::from(KEYS)) as usize];
            let is_in_order = *next <= index;
            *next = index + 1;
            match outcome {
                Ok(text) if is_in_order && text == content(number, index) => batch.done += 1,
                Err(Failure::Failed { .. }) if is_in_order => batch.failed += 1,
                Err(_) if is_in_order => batch.given_up += 1,
                _ => batch.misplaced += 1,
            }
            batch.waited += outcomes.waited();
            bar.set_message(format!("{} attempts", outcomes.stats().attempts));
            bar.inc(1);
        }
        bar.finish();
        batch.stats = outcomes.stats();
        batch
    }

    /// Returns `true` if every item has an outcome, and the outcomes of each key are in order.
    pub(crate) fn is_complete(&self, items: u32) -> bool {
        self.misplaced == 0 && self.done + self.failed + self.given_up == items
    }
}
