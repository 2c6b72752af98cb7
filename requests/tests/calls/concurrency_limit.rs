//! The limit of the attempts that run at once, which changes while they run.

use std::num::NonZeroUsize;
use std::sync::mpsc;

use crate::common::{Latch, executor, with_timeout};
use crate::futures::MS;
use reorder_executor::ConcurrencyLimit;
use reorder_requests::{AttemptOutcome, RequestsExt};

fn threads(number: usize) -> NonZeroUsize {
    NonZeroUsize::new(number).unwrap()
}

#[test]
fn the_limit_of_attempts_is_changed_while_they_run() {
    with_timeout(|| {
        let (executor, latch) = (executor(4), Latch::default());
        let limit = ConcurrencyLimit::new(threads(1));
        let (started, starts) = mpsc::channel();
        let handle = {
            let latch = latch.clone();
            let requests = executor.batch(0..6).requests().concurrency(&limit);
            requests.submit(move |&n, _| {
                started.send(n).unwrap();
                latch.wait();
                AttemptOutcome::<_, ()>::Done(n)
            })
        };
        assert_eq!(starts.recv(), Ok(0));
        assert!(starts.recv_timeout(20 * MS).is_err(), "one attempt runs at a time");
        // Nothing else happens that could wake a worker.
        limit.set(threads(3));
        let mut more = [(); 2].map(|()| starts.recv().unwrap());
        more.sort_unstable();
        assert_eq!(more, [1, 2]);
        assert!(starts.recv_timeout(20 * MS).is_err(), "three attempts run at a time");
        latch.open();
        assert_eq!(handle.unwrap().wait().into_values().unwrap(), [0, 1, 2, 3, 4, 5]);
    });
}
