//! The peers for streams, the measurement of a stream, and the check of its window.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crate::compare::comparison::{Comparison, Extra, OURS, Round, Sample, check_results};
use crate::compare::job::Job;
#[cfg(tbb)]
use crate::compare::peers::Tbb;
use crate::compare::peers::{
    ChannelHeap, Disruptor, Flags, MutexPerBatch, Ours, Pariter, Rayon, RayonInside, Serial,
    Stream, Tokio,
};

/// A visitor of peers. It creates the peers that it measures.
pub(super) trait Visitor {
    fn visit<P: Stream + 'static>(
        &mut self,
        peer: &'static str,
        make: impl Fn() -> P + Copy + 'static,
    );
}

/// Shows the visitor the peers for streams.
pub(super) fn each_streamer(
    threads: usize,
    our_workers: usize,
    window: usize,
    visitor: &mut impl Visitor,
) {
    visitor.visit(OURS, move || Ours::new(our_workers, window));
    visitor.visit("rayon-chunked", move || Rayon::new(threads));
    visitor.visit("rayon-inside", move || RayonInside(Rayon::new(threads)));
    #[cfg(tbb)]
    visitor.visit("tbb", move || Tbb::new(threads));
    visitor.visit("disruptor", move || Disruptor(threads));
    visitor.visit("flags", move || Flags::new(threads));
    visitor.visit("channel-heap", move || ChannelHeap::new(threads));
    visitor.visit("mutex", move || MutexPerBatch::new(threads));
    visitor.visit("pariter", move || Pariter(threads));
    visitor.visit("tokio-buffered", move || Tokio::new(threads));
    visitor.visit("serial", move || Serial);
}

/// Measures each peer with one stream at a time, which is timed as a whole.
///
/// The warm-up round checks that at most `window` items are outstanding. Other rounds do not, for
/// the counters of the check are shared by all threads and cost time.
pub(super) struct Streamed<'c, 'a, S, J, U> {
    pub(super) comparison: &'c mut Comparison<'a>,
    pub(super) window: usize,
    /// Creates a source for each round.
    pub(super) source: S,
    pub(super) job: J,
    pub(super) expected: &'a [U],
}

impl<'a, I, U, S, F, J> Visitor for Streamed<'_, 'a, F, J, U>
where
    I: Send + 'static,
    U: PartialEq + Send + Sync + Size + 'static,
    S: Iterator<Item = I> + Send + 'static,
    F: Fn() -> S + Copy + 'a,
    J: Job<I, U>,
{
    fn visit<P: Stream + 'static>(
        &mut self,
        peer: &'static str,
        make: impl Fn() -> P + Copy + 'static,
    ) {
        let &mut Streamed { window, source, job, expected, .. } = self;
        let mut results = Vec::with_capacity(expected.len());
        self.comparison.add_peer(peer, make, move |peer, round| {
            let mut extra = Extra::default();
            results.clear();
            let start = Instant::now();
            if round == Round::WarmUp {
                extra.peak = Some(peak(peer, window, source(), job, &mut results)?);
            } else {
                peer.stream(source(), window, job, &mut |result| results.push(result));
            }
            let nanos = start.elapsed().as_nanos() as f64 / expected.len() as f64;
            check_results(&results, expected)?;
            extra.bytes = results.iter().map(Size::bytes).sum();
            Ok(Sample { nanos, extra })
        });
    }
}

/// A result that may have a size to report.
pub(super) trait Size {
    /// Returns the size in bytes, or `None` if the size is not reported.
    fn bytes(&self) -> Option<u64>;
}

impl Size for u64 {
    fn bytes(&self) -> Option<u64> {
        None
    }
}

/// Runs a stream and returns the largest number of outstanding items.
///
/// The number is read whenever the peer pulls an item, which is not counted yet. This allows for
/// one result that has left the peer's window and is on its way to `sink`.
fn peak<I, U>(
    peer: &impl Stream,
    window: usize,
    source: impl Iterator<Item = I> + Send + 'static,
    job: impl Job<I, U>,
    results: &mut Vec<U>,
) -> Result<u64, String>
where
    I: Send + 'static,
    U: Send + 'static,
{
    #[derive(Default)]
    struct Counts {
        received: AtomicU64,
        peak: AtomicU64,
    }
    let counts = Arc::new(Counts::default());
    let for_source = Arc::clone(&counts);
    let watched = source.enumerate().map(move |(before, item)| {
        let received = for_source.received.load(Ordering::SeqCst);
        let outstanding = (before as u64).saturating_sub(received);
        for_source.peak.fetch_max(outstanding, Ordering::SeqCst);
        item
    });
    peer.stream(watched, window, job, &mut |result| {
        counts.received.fetch_add(1, Ordering::SeqCst);
        results.push(result);
    });
    let peak = counts.peak.load(Ordering::SeqCst);
    if peak > window as u64 {
        return Err(format!("{peak} items were outstanding, more than the window of {window}"));
    }
    Ok(peak)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::Settings;

    /// Pulls all items before it delivers the first result.
    struct Greedy;

    impl Stream for Greedy {
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
            source.map(job).collect::<Vec<_>>().into_iter().for_each(sink);
        }
    }

    fn double(number: u64) -> u64 {
        2 * number
    }

    #[test]
    fn a_peer_that_pulls_too_much_gives_an_error() {
        let settings = Settings { quick: true, ..Settings::default() };
        let expected: Vec<u64> = (0..50).map(double).collect();
        let mut comparison = Comparison::new("bound", 2, &settings);
        let mut visitor = Streamed {
            comparison: &mut comparison,
            window: 8,
            source: || 0..50,
            job: double,
            expected: &expected,
        };
        visitor.visit(OURS, move || Serial);
        visitor.visit("flags", move || Greedy);
        let outcome = comparison.run();
        assert_eq!(outcome.records.len(), 1);
        assert_eq!(outcome.records[0].peak, Some(0));
        let wrong = "bound, 2 threads, flags: 49 items were outstanding, more than the window of 8";
        assert_eq!(outcome.wrong, [wrong]);
    }

    #[test]
    fn every_peer_delivers_every_stream_in_order_and_within_its_window() {
        let settings = Settings { quick: true, ..Settings::default() };
        for count in [0, 1, 7, 3000] {
            let expected: Vec<u64> = (0..count).map(double).collect();
            for (threads, window) in [(2, 8), (3, 256)] {
                let mut comparison = Comparison::new("order", threads, &settings);
                let source = || 0..count;
                let mut visitor = Streamed {
                    comparison: &mut comparison,
                    window,
                    source,
                    job: double,
                    expected: &expected,
                };
                each_streamer(threads, threads, window, &mut visitor);
                let outcome = comparison.run();
                assert_eq!(outcome.wrong, [""; 0]);
                assert_eq!(outcome.records.len(), 10 + usize::from(cfg!(tbb)));
            }
        }
    }
}
