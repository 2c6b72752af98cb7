//! `orx-parallel`: `collect`, with its adaptive runner and its persistent pool. The pool starts at
//! most one thread per processor. The crate has no ordered streams.

use orx_parallel::{BasicPool, IntoParIter, Par, Pool, Runner};

use super::Collect;
use crate::compare::job::Job;

pub(crate) struct Orx(BasicPool);

impl Orx {
    pub(crate) fn new(threads: usize) -> Orx {
        Orx(Pool::basic(threads))
    }
}

impl Collect for Orx {
    fn collect<U: Send + 'static>(&self, count: u64, job: impl Job<u64, U>) -> Vec<U> {
        let count = usize::try_from(count).expect("the results fit in memory");
        (0..count)
            .into_par()
            .runner(Runner::adaptive_with_pool(&self.0))
            .map(|index| job(index as u64))
            .collect()
    }
}
