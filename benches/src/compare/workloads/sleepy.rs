//! Items that sleep, with a worker for each. Measures whether all items start at once, also if the
//! first item takes long.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::RunComparison;
use super::batch::{OneBatch, Visitor};
use crate::compare::Settings;
use crate::compare::comparison::{Comparison, Extra, OURS, Sample, check_results};
#[cfg(tbb)]
use crate::compare::peers::Tbb;
use crate::compare::peers::{
    ChannelHeap, Collect, Collected, Latch, MutexPerBatch, Orx, Ours, Pariter, Rayon, Serial,
    StaticSplit, ThreadPerItem, Tokio,
};

/// The number of items and of workers.
const MANY: usize = 64;

pub(super) fn run(settings: &Settings, run_comparison: &mut RunComparison<'_>) {
    let expected: Vec<u64> = (0..MANY as u64).collect();
    let mut comparison = Comparison::new("sleepy", MANY, settings);
    let sleep = |number| {
        thread::sleep(Duration::from_millis(10));
        number
    };
    each_sleeper(&mut OneBatch { comparison: &mut comparison, job: sleep, expected: &expected });
    run_comparison(comparison);

    let mut comparison = Comparison::new("sleepy-slow-first", MANY, settings);
    each_sleeper(&mut SlowFirst { comparison: &mut comparison, expected: &expected });
    run_comparison(comparison);
}

/// Shows the visitor the peers for jobs that sleep. Peers whose workers spin are left out, for 64
/// workers would spin.
fn each_sleeper(visitor: &mut impl Visitor) {
    visitor.visit(OURS, move || Ours::new(MANY, MANY));
    visitor.visit("thread-per-item", move || ThreadPerItem);
    visitor.visit("latch", move || Latch::new(MANY));
    visitor.visit("rayon", move || Rayon::new(MANY));
    visitor.visit("orx-parallel", move || Orx::new(MANY));
    #[cfg(tbb)]
    visitor.visit("tbb", move || Tbb::new(MANY + 1));
    visitor.visit("scope-split", move || StaticSplit(MANY));
    visitor.visit("pariter", move || Collected(Pariter(MANY)));
    visitor.visit("tokio-buffered", move || Collected(Tokio::blocking(MANY)));
    visitor.visit("channel-heap", move || Collected(ChannelHeap::new(MANY)));
    visitor.visit("mutex", move || Collected(MutexPerBatch::new(MANY)));
    visitor.visit("serial", move || Serial);
}

/// Measures the time until all items but the first are done. The first item takes 100 ms.
struct SlowFirst<'c, 'a> {
    comparison: &'c mut Comparison<'a>,
    expected: &'a [u64],
}

static EPOCH: LazyLock<Instant> = LazyLock::new(Instant::now);
/// The time at which the last item but the first was done, in nanoseconds after `EPOCH`.
static LAST_DONE: AtomicU64 = AtomicU64::new(0);

fn slow_first(number: u64) -> u64 {
    if number == 0 {
        thread::sleep(Duration::from_millis(100));
    } else {
        LAST_DONE.fetch_max(EPOCH.elapsed().as_nanos() as u64, Ordering::Relaxed);
    }
    number
}

impl Visitor for SlowFirst<'_, '_> {
    fn visit<P: Collect + 'static>(
        &mut self,
        peer: &'static str,
        make: impl Fn() -> P + Copy + 'static,
    ) {
        let expected = self.expected;
        self.comparison.add_peer(peer, make, move |peer, _| {
            let start = EPOCH.elapsed().as_nanos() as u64;
            LAST_DONE.store(start, Ordering::Relaxed);
            let results = peer.collect(MANY as u64, slow_first);
            check_results(&results, expected)?;
            let nanos = LAST_DONE.load(Ordering::Relaxed) - start;
            Ok(Sample {
                nanos: nanos as f64 / MANY as f64,
                extra: Extra { others: Some(MANY as u64), ..Extra::default() },
            })
        });
    }
}
