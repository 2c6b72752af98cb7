//! `pariter`: `parallel_map`, whose buffer has the size of the window. Its threads live as long as
//! the iterator.

use ::pariter::IteratorExt;

use super::Stream;
use crate::compare::job::Job;

pub(crate) struct Pariter(pub(crate) usize);

impl Stream for Pariter {
    fn stream<I, U>(
        &self,
        source: impl Iterator<Item = I> + Send + 'static,
        window: usize,
        job: impl Job<I, U>,
        sink: &mut (impl FnMut(U) + Send),
    ) where
        I: Send + 'static,
        U: Send + 'static,
    {
        source
            .parallel_map_custom(|options| options.threads(self.0).buffer_size(window), job)
            .for_each(sink);
    }
}
