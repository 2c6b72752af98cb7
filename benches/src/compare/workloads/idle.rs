//! What it costs to have nothing to do: the processor time of the whole process while a pool of
//! threads has no work, and while a consumer waits for a slow head. An item is a millisecond of
//! waiting, so 10^6 ns is one processor kept busy.

use std::thread;
use std::time::{Duration, Instant};

use cpu_time::ProcessTime;

use super::streamed::{self, each_streamer};
use super::{Hold, THREADS, batch};
use crate::compare::Settings;
use crate::compare::contest::{Contest, Sample, same};
use crate::compare::job::mix;
use crate::compare::peers::{Collect, Stream};

pub(super) fn run(settings: &Settings, hold: &mut Hold<'_>) {
    for threads in THREADS {
        let mut contest = Contest::new("idle", threads, settings);
        let long = Duration::from_millis(settings.amount(200, 20));
        batch::each_collector(threads, threads, &mut Idle { contest: &mut contest, long });
        hold(contest);
    }
    for threads in THREADS {
        let mut contest = Contest::new("waiting", threads, settings);
        let count = threads as u64 * settings.amount(2, 1);
        each_streamer(threads, threads, 64, &mut Waiting { contest: &mut contest, count });
        hold(contest);
    }
}

/// Peers are made for their turn alone: those who are idle in the meantime would be measured too.
/// `serial`, which has no threads, shows what the measuring itself costs.
struct Idle<'c, 'a> {
    contest: &'c mut Contest<'a>,
    long: Duration,
}

impl batch::Visitor for Idle<'_, '_> {
    fn visit<P: Collect + 'static>(
        &mut self,
        peer: &'static str,
        make: impl Fn() -> P + Copy + 'static,
    ) {
        const ITEMS: u64 = 10_000;
        let long = self.long;
        let expected: Vec<u64> = (0..ITEMS).map(mix).collect();
        self.contest.enter(
            peer,
            || (),
            move |(), _| {
                let pool = make();
                same(&pool.collect(ITEMS, mix), &expected)?;
                // Until threads that look for more work have gone to sleep.
                thread::sleep(Duration::from_millis(5));
                Ok(used_while(|| thread::sleep(long)))
            },
        );
    }
}

/// Streams of items that sleep.
struct Waiting<'c, 'a> {
    contest: &'c mut Contest<'a>,
    count: u64,
}

fn slow(number: u64) -> u64 {
    thread::sleep(Duration::from_millis(50));
    number
}

impl streamed::Visitor for Waiting<'_, '_> {
    fn visit<P: Stream + 'static>(
        &mut self,
        peer: &'static str,
        make: impl Fn() -> P + Copy + 'static,
    ) {
        let count = self.count;
        self.contest.enter(
            peer,
            || (),
            move |(), _| {
                let pool = make();
                let mut results = Vec::with_capacity(count as usize);
                let sample = used_while(|| {
                    pool.stream(0..count, 64, slow, &mut |number| results.push(number));
                });
                same(&results, &(0..count).collect::<Vec<_>>())?;
                Ok(sample)
            },
        );
    }
}

/// The processor time that this process used, by each millisecond that it took.
fn used_while(wait: impl FnOnce()) -> Sample {
    let (start, used) = (Instant::now(), ProcessTime::now());
    wait();
    let used = used.elapsed();
    let millis = start.elapsed().as_secs_f64() * 1000.0;
    Sample { nanos: used.as_nanos() as f64 / millis, ..Sample::default() }
}
