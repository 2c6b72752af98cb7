//! States of the threads that run attempts.

use crate::common::{executor, with_timeout};
use reorder_executor::ThreadStates;
use reorder_requests::{AttemptOutcome, RequestsExt};

#[test]
fn requests_have_states() {
    with_timeout(|| {
        let executor = executor(2);
        let states = ThreadStates::new(Vec::<u32>::new);
        let handle = executor.batch(0..100).requests().submit(move |&n, _| {
            states.with(|seen| {
                seen.push(n);
                AttemptOutcome::<_, ()>::Done(seen.len())
            })
        });
        assert_eq!(handle.unwrap().wait().into_values().unwrap().len(), 100);
    });
}
