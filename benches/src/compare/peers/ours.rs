//! Ours: `map_indexed`, `map` and `stream`. `map_indexed` takes a range, as the peers do.

use reorder_executor::Executor;

use super::{Collect, Stream};
use crate::compare::job::Job;

pub(crate) struct Ours(Executor);

impl Ours {
    pub(crate) fn new(workers: usize, window: usize) -> Ours {
        let builder = Executor::builder().workers(workers).window(window);
        Ours(builder.build().expect("start an executor"))
    }
}

impl Collect for Ours {
    fn collect<U: Send + 'static>(&self, count: u64, job: impl Job<u64, U>) -> Vec<U> {
        let count = usize::try_from(count).expect("the results fit in memory");
        self.0.map_indexed(count, |index| job(index as u64))
    }
}

/// Our peer with `map`, which takes an iterator.
pub(crate) struct OursIterator(pub(crate) Ours);

impl Collect for OursIterator {
    fn collect<U: Send + 'static>(&self, count: u64, job: impl Job<u64, U>) -> Vec<U> {
        self.0.0.map(0..count, job)
    }
}

impl Stream for Ours {
    fn stream<I, U>(
        &self,
        source: impl Iterator<Item = I> + Send + 'static,
        _window: usize,
        job: impl Job<I, U>,
        sink: &mut (impl FnMut(U) + Send),
    ) where
        I: Send + 'static,
        U: Send + 'static,
    {
        let outcomes = self.0.stream(source, job);
        outcomes.for_each(|outcome| sink(outcome.expect("no job panics")));
    }
}
