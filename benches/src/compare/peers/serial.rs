//! A plain loop.

use super::{Collect, Stream};
use crate::compare::job::Job;

pub(crate) struct Serial;

impl Collect for Serial {
    fn collect<U: Send + 'static>(&self, count: u64, job: impl Job<u64, U>) -> Vec<U> {
        (0..count).map(job).collect()
    }
}

impl Stream for Serial {
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
        source.map(job).for_each(sink);
    }
}
