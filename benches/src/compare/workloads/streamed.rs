//! The peers for streams, what is the same wherever something is streamed, and the check of the
//! bound.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crate::compare::contest::{Contest, Extra, OURS, Round, Sample, same};
use crate::compare::job::Job;
#[cfg(tbb)]
use crate::compare::peers::Tbb;
use crate::compare::peers::{
    ChannelHeap, Disruptor, Flags, MutexPerBatch, Ours, Pariter, Rayon, RayonInside, Serial,
    Stream, Tokio,
};

/// Is shown a peer after the other. It makes those that it wants.
pub(super) trait Visitor {
    fn visit<P: Stream + 'static>(
        &mut self,
        peer: &'static str,
        make: impl Fn() -> P + Copy + 'static,
    );
}

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

/// One stream after the other, each timed as a whole. The bound is checked in the round that does
/// not count, for what checks it is shared by all threads.
pub(super) struct Streamed<'c, 'a, S, J, U> {
    pub(super) contest: &'c mut Contest<'a>,
    pub(super) window: usize,
    /// Makes the source anew.
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
        self.contest.enter(peer, make, move |peer, round| {
            let mut extra = Extra::default();
            results.clear();
            let start = Instant::now();
            if round == Round::First {
                extra.peak = Some(peak(peer, window, source(), job, &mut results)?);
            } else {
                peer.stream(source(), window, job, &mut |result| results.push(result));
            }
            let nanos = start.elapsed().as_nanos() as f64 / expected.len() as f64;
            same(&results, expected)?;
            extra.bytes = results.iter().map(Size::bytes).sum();
            Ok(Sample { nanos, extra })
        });
    }
}

/// Results whose size is worth telling.
pub(super) trait Size {
    fn bytes(&self) -> Option<u64>;
}

impl Size for u64 {
    fn bytes(&self) -> Option<u64> {
        None
    }
}

/// Streams, and tells how many items were outstanding at most, besides the one that is on its way
/// into the consumer's hands.
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
    struct Seen {
        received: AtomicU64,
        peak: AtomicU64,
    }
    let seen = Arc::new(Seen::default());
    let of_source = Arc::clone(&seen);
    let watched = source.enumerate().map(move |(before, item)| {
        let outstanding = (before as u64).saturating_sub(of_source.received.load(Ordering::SeqCst));
        of_source.peak.fetch_max(outstanding, Ordering::SeqCst);
        item
    });
    peer.stream(watched, window, job, &mut |result| {
        seen.received.fetch_add(1, Ordering::SeqCst);
        results.push(result);
    });
    let peak = seen.peak.load(Ordering::SeqCst);
    if peak > window as u64 {
        return Err(format!("{peak} items were outstanding, of at most {window}"));
    }
    Ok(peak)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::Settings;

    /// Pulls everything before it hands anything over.
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
    fn who_pulls_too_much_is_noticed() {
        let settings = Settings { quick: true, ..Settings::default() };
        let expected: Vec<u64> = (0..50).map(double).collect();
        let mut contest = Contest::new("bound", 2, &settings);
        let mut visitor = Streamed {
            contest: &mut contest,
            window: 8,
            source: || 0..50,
            job: double,
            expected: &expected,
        };
        visitor.visit(OURS, move || Serial);
        visitor.visit("flags", move || Greedy);
        let outcome = contest.run();
        assert_eq!(outcome.records.len(), 1);
        assert_eq!(outcome.records[0].peak, Some(0));
        let wrong = "bound, 2 threads, flags: 49 items were outstanding, of at most 8";
        assert_eq!(outcome.wrong, [wrong]);
    }

    #[test]
    fn every_peer_brings_every_stream_in_order_and_within_its_window() {
        let settings = Settings { quick: true, ..Settings::default() };
        for count in [0, 1, 7, 3000] {
            let expected: Vec<u64> = (0..count).map(double).collect();
            for (threads, window) in [(2, 8), (3, 256)] {
                let mut contest = Contest::new("order", threads, &settings);
                let source = || 0..count;
                let mut visitor = Streamed {
                    contest: &mut contest,
                    window,
                    source,
                    job: double,
                    expected: &expected,
                };
                each_streamer(threads, threads, window, &mut visitor);
                let outcome = contest.run();
                assert_eq!(outcome.wrong, [""; 0]);
                assert_eq!(outcome.records.len(), 10 + usize::from(cfg!(tbb)));
            }
        }
    }
}
