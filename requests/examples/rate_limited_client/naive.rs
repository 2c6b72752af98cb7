//! The client that most programs write first: each thread takes an item, and sleeps when the server
//! refuses the request.

use std::fmt;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use reorder_requests::AttemptOutcome;

use crate::args::Args;
use crate::client::Client;
use crate::server::{LIMITS, REFUSED, Server, peak};

/// The result of the pool.
pub(crate) struct Naive {
    threads: u16,
    pub(crate) time: Duration,
    /// The items that ended after a later item.
    overtaken: usize,
    requests: usize,
    peaks: [usize; 2],
    pub(crate) refused: usize,
}

impl Naive {
    pub(crate) fn new(server: &Server, args: &Args) -> Naive {
        let items =
            (0..args.items).flat_map(|index| (0..args.batches).map(move |batch| (batch, index)));
        let (items, order) = (Mutex::new(items), Mutex::new(Vec::new()));
        let client = Client::new(server.address());
        let start = Instant::now();
        thread::scope(|scope| {
            for _ in 0..args.workers {
                scope.spawn(|| {
                    while let Some((batch, index)) = { items.lock().expect(NO_PANIC).next() } {
                        while let Some(wait) = wait_after(&client.fetch(batch, index, None)) {
                            thread::sleep(wait);
                        }
                        order.lock().expect(NO_PANIC).push((batch, index));
                    }
                });
            }
        });
        let time = start.elapsed();
        let order = order.into_inner().expect(NO_PANIC);
        let overtaken = order.windows(2).filter(|pair| pair[1].1 < pair[0].1).count();
        let received = server.take();
        Naive {
            threads: args.workers,
            time,
            overtaken,
            requests: received.len(),
            peaks: LIMITS.map(|limit| peak(&received, &limit)),
            refused: received.iter().filter(|request| request.status == REFUSED).count(),
        }
    }
}

/// Returns the time that a thread sleeps before it tries the item again.
fn wait_after<U, E>(outcome: &AttemptOutcome<U, E>) -> Option<Duration> {
    match outcome {
        AttemptOutcome::Closed { after, .. } => Some(*after),
        AttemptOutcome::Retry { after, .. } => Some(after.unwrap_or(Duration::from_millis(100))),
        AttemptOutcome::Done(_) | AttemptOutcome::Failed(_) => None,
    }
}

impl fmt::Display for Naive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Naive { threads, time, overtaken, requests, peaks, refused } = self;
        let [first, second] = LIMITS.map(|limit| limit.within);
        writeln!(f, "\na naive pool, {threads} threads: {time:.1?}")?;
        writeln!(f, "  {overtaken} items were overtaken by a later item")?;
        write!(
            f,
            "  the server received {requests} requests, at most {} in {first:?} and {} in \
             {second:?}: {refused} exceeded a limit",
            peaks[0], peaks[1]
        )
    }
}

const NO_PANIC: &str = "no thread panics";
