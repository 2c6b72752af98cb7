//! `rayon`: `collect` for a batch, and one parallel `collect_into_vec` per window for a stream. The
//! documentation keeps an order in this way.
//!
//! A stream runs outside the pool, as in most programs, or inside. Outside, each window pays for
//! the entry into the pool.

use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

use super::{Collect, Stream};
use crate::compare::job::Job;

pub(crate) struct Rayon(ThreadPool);

impl Rayon {
    pub(crate) fn new(threads: usize) -> Rayon {
        Rayon(ThreadPoolBuilder::new().num_threads(threads).build().expect("start a pool"))
    }
}

impl Collect for Rayon {
    fn collect<U: Send + 'static>(&self, count: u64, job: impl Job<u64, U>) -> Vec<U> {
        let count = usize::try_from(count).expect("the results fit in memory");
        // `rayon` writes the results of an indexed range in place.
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

/// The peer whose stream runs inside the pool: a thread of the pool pulls the source and consumes
/// the results.
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
