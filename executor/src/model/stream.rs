//! A stream without workers.

use std::fmt;
use std::sync::Arc;

use crate::io::{LazySource, Weighed};
use crate::limits::{LimitState, Limits};
use crate::scheduler::{FairShare, Scheduler, ThreadSettings, TimeSlice};
use crate::stream::{Core, Opened, Ordered, StreamWork, open_ring};

/// The producing side of a stream that no worker knows. The threads of a model run its items.
pub struct StreamItems {
    stream: Arc<dyn StreamWork>,
    scheduler: Arc<Scheduler>,
}

impl StreamItems {
    /// Opens a stream, and returns both of its sides.
    pub fn open<I, U>(
        source: I,
        window: usize,
        job: impl Fn(I::Item) -> U + Send + Sync + 'static,
    ) -> (StreamItems, Ordered<'static, U>)
    where
        I: Iterator<Item: Send> + Send + 'static,
        U: Send + 'static,
    {
        let scheduler = Scheduler::new(ThreadSettings::default(), false);
        let Opened { producer, output, consumer_end } = open_ring(window, None);
        let job = move |item| Ok(job(item));
        let core = Core::<(I, U, _, _)>::new(
            LazySource::new(source),
            job,
            producer,
            output,
            1,
            FairShare::default(),
        );
        let stream: Arc<dyn StreamWork> = Arc::new(core);
        let outcomes = Ordered::new(consumer_end, Arc::clone(&stream), &scheduler, None, Some(1));
        (StreamItems { stream, scheduler }, outcomes)
    }

    /// Opens a stream whose items weigh 1, in a budget of 1.
    pub fn weighed<I, U>(
        source: I,
        job: impl Fn(I::Item) -> U + Send + Sync + 'static,
    ) -> (StreamItems, Ordered<'static, U>)
    where
        I: Iterator<Item: Send + 'static> + Send + 'static,
        U: Send + 'static,
    {
        let scheduler = Scheduler::new(ThreadSettings::default(), false);
        let limits = Limits { weight: Some(1), ..Limits::default() };
        let limits = Arc::new(LimitState::new(limits, 8));
        let budget = limits.budget.clone();
        let Opened { producer, output, consumer_end } = open_ring(8, Some(limits));
        let source = Weighed::new(source, |_: &I::Item| Some(1), budget);
        let source = LazySource::within_budget(source, Weighed::is_admitted);
        let job = move |item| Ok(job(item));
        let core =
            Core::<(_, U, _, _)>::new(source, job, producer, output, 1, FairShare::default());
        let stream: Arc<dyn StreamWork> = Arc::new(core);
        let outcomes = Ordered::new(consumer_end, Arc::clone(&stream), &scheduler, None, Some(1));
        (StreamItems { stream, scheduler }, outcomes)
    }

    /// Pulls an item and runs it, if the window has space.
    pub fn run_one(&self) {
        // In models, each item takes longer than a time slice.
        self.stream.run_slice(&TimeSlice::own(&self.scheduler, None));
    }
}

impl fmt::Debug for StreamItems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamItems").finish_non_exhaustive()
    }
}
