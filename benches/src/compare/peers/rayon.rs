//! rayon: `collect`, and for a stream one parallel `collect_into_vec` per window, which is how its
//! documentation keeps an order: called from outside the pool, as most programs do, or with the
//! whole stream inside, where no window pays for the way into the pool.

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
        source: impl Iterator<Item = I> + Send + 'static,
        window: usize,
        job: impl Job<I, U>,
        sink: &mut (impl FnMut(U) + Send),
    ) where
        I: Send + 'static,
        U: Send + 'static,
    {
        by_windows(source, window, sink, |items, results| {
            self.0.install(|| items.par_drain(..).map(job).collect_into_vec(results));
        });
    }
}

/// The source is pulled and the results are consumed by a thread of the pool.
pub(crate) struct RayonInside(pub(crate) Rayon);

impl Stream for RayonInside {
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
        let RayonInside(Rayon(pool)) = self;
        pool.install(|| {
            by_windows(source, window, sink, |items, results| {
                items.par_drain(..).map(job).collect_into_vec(results);
            });
        });
    }
}

fn by_windows<I, U>(
    source: impl Iterator<Item = I>,
    window: usize,
    sink: &mut impl FnMut(U),
    run: impl Fn(&mut Vec<I>, &mut Vec<U>),
) {
    let mut source = source.fuse();
    let mut items = Vec::with_capacity(window);
    let mut results = Vec::with_capacity(window);
    loop {
        items.extend(source.by_ref().take(window));
        if items.is_empty() {
            return;
        }
        run(&mut items, &mut results);
        results.drain(..).for_each(&mut *sink);
    }
}
