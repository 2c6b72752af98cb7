//! The peers for batches, and the measurement of a batch.

use std::time::Instant;

use crate::compare::comparison::{Comparison, OURS, Sample, check_results};
use crate::compare::job::Job;
#[cfg(tbb)]
use crate::compare::peers::Tbb;
use crate::compare::peers::{
    ChannelHeap, Collect, Collected, Disruptor, Flags, Latch, MutexForAll, MutexPerBatch, Orx,
    Ours, OursIterator, Pariter, Rayon, Serial, StaticSplit, Tokio,
};

/// A visitor of peers. It creates the peers that it measures.
pub(super) trait Visitor {
    fn visit<P: Collect + 'static>(
        &mut self,
        peer: &'static str,
        make: impl Fn() -> P + Copy + 'static,
    );
}

/// Shows the visitor the peers for jobs that compute.
pub(super) fn each_collector(threads: usize, our_workers: usize, visitor: &mut impl Visitor) {
    visitor.visit(OURS, move || Ours::new(our_workers, 1024));
    visitor.visit("ours-iterator", move || OursIterator(Ours::new(our_workers, 1024)));
    visitor.visit("latch", move || Latch::new(threads));
    visitor.visit("rayon", move || Rayon::new(threads));
    visitor.visit("orx-parallel", move || Orx::new(threads));
    #[cfg(tbb)]
    visitor.visit("tbb", move || Tbb::new(our_workers + 1));
    visitor.visit("scope-split", move || StaticSplit(threads));
    visitor.visit("pariter", move || Collected(Pariter(threads)));
    visitor.visit("tokio-buffered", move || Collected(Tokio::new(threads)));
    visitor.visit("channel-heap", move || Collected(ChannelHeap::new(threads)));
    visitor.visit("mutex", move || Collected(MutexPerBatch::new(threads)));
    visitor.visit("mutex-for-all", move || MutexForAll::new(threads));
    visitor.visit("flags", move || Collected(Flags::new(threads)));
    visitor.visit("disruptor", move || Collected(Disruptor(threads)));
    visitor.visit("serial", move || Serial);
}

/// Measures each peer with one batch at a time, which is timed as a whole.
pub(super) struct OneBatch<'c, 'a, J> {
    pub(super) comparison: &'c mut Comparison<'a>,
    pub(super) job: J,
    pub(super) expected: &'a [u64],
}

impl<J: Job<u64, u64>> Visitor for OneBatch<'_, '_, J> {
    fn visit<P: Collect + 'static>(
        &mut self,
        peer: &'static str,
        make: impl Fn() -> P + Copy + 'static,
    ) {
        let (job, expected) = (self.job, self.expected);
        let count = expected.len() as u64;
        self.comparison.add_peer(peer, make, move |peer, _| {
            let start = Instant::now();
            let results = peer.collect(count, job);
            let nanos = start.elapsed().as_nanos() as f64 / count as f64;
            check_results(&results, expected)?;
            Ok(Sample { nanos, ..Sample::default() })
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::Settings;

    /// Returns all results, but swaps two of them.
    struct Swapped(usize);

    impl Collect for Swapped {
        fn collect<U: Send + 'static>(&self, count: u64, job: impl Job<u64, U>) -> Vec<U> {
            let mut results = Serial.collect(count, job);
            results.swap(self.0, self.0 + 1);
            results
        }
    }

    /// Returns all results but the last.
    struct Short;

    impl Collect for Short {
        fn collect<U: Send + 'static>(&self, count: u64, job: impl Job<u64, U>) -> Vec<U> {
            Serial.collect(count - 1, job)
        }
    }

    fn square(number: u64) -> u64 {
        number * number
    }

    #[test]
    fn wrong_results_give_an_error_and_no_record() {
        let settings = Settings { quick: true, ..Settings::default() };
        let expected: Vec<u64> = (0..10).map(square).collect();
        let mut comparison = Comparison::new("wrong", 2, &settings);
        let mut visitor =
            OneBatch { comparison: &mut comparison, job: square, expected: &expected };
        visitor.visit(OURS, move || Serial);
        visitor.visit("flags", move || Swapped(8));
        visitor.visit("latch", move || Short);
        let outcome = comparison.run();
        let peers: Vec<_> = outcome.records.iter().map(|record| &*record.peer).collect();
        assert_eq!(peers, [OURS]);
        assert_eq!(
            outcome.wrong,
            [
                "wrong, 2 threads, flags: the result at index 8 is wrong",
                "wrong, 2 threads, latch: 9 results of 10 items",
            ]
        );
    }

    #[test]
    fn every_peer_returns_every_batch_in_order() {
        let settings = Settings { quick: true, ..Settings::default() };
        for count in [1, 7, 2000] {
            let expected: Vec<u64> = (0..count).map(square).collect();
            for threads in [2, 3] {
                let mut comparison = Comparison::new("order", threads, &settings);
                let mut visitor =
                    OneBatch { comparison: &mut comparison, job: square, expected: &expected };
                each_collector(threads, threads - 1, &mut visitor);
                let outcome = comparison.run();
                assert_eq!(outcome.wrong, [""; 0]);
                assert_eq!(outcome.records.len(), 14 + usize::from(cfg!(tbb)));
            }
        }
    }
}
