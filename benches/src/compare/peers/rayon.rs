//! rayon: `collect`, and for a stream one parallel `collect_into_vec` per window, which is how its
//! documentation keeps an order.

use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

use super::{Collect, Stream};
use crate::compare::job::Job;

pub(crate) struct Rayon(ThreadPool);

impl Rayon {
    pub(crate) fn new(threads: usize) -> Rayon {
        Rayon(ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool"))
    }
}

impl Collect for Rayon {
    fn collect<U: Send + 'static>(&self, count: u64, job: impl Job<u64, U>) -> Vec<U> {
        let count = usize::try_from(count).expect("as many as fit in memory");
        // An indexed range, whose results are written in place.
        self.0.install(|| (0..count).into_par_iter().map(|index| job(index as u64)).collect())
    }
}

impl Stream for Rayon {
    fn stream<I, U>(
        &self,
        mut source: impl Iterator<Item = I> + Send + 'static,
        window: usize,
        job: impl Job<I, U>,
        sink: &mut impl FnMut(U),
    ) where
        I: Send + 'static,
        U: Send + 'static,
    {
        let mut items = Vec::with_capacity(window);
        let mut results = Vec::with_capacity(window);
        loop {
            items.extend(source.by_ref().take(window));
            if items.is_empty() {
                return;
            }
            self.0.install(|| items.par_drain(..).map(job).collect_into_vec(&mut results));
            results.drain(..).for_each(&mut *sink);
        }
    }
}
