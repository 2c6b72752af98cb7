//! The timing of each item of a stream.

use crate::common::{Latch, with_timeout};
use reorder_executor::Executor;

#[test]
fn a_timed_stream_reports_when_each_item_ran() {
    with_timeout(|| {
        let executor = Executor::builder().workers(2).window(8).build().unwrap();
        let (first_may_end, fifth_has_started) = (Latch::default(), Latch::default());
        let (may_end, has_started) = (first_may_end.clone(), fifth_has_started.clone());
        let batch = executor.batch(0..1000_usize).timed();
        let mut stream = batch
            .stream(move |n, _| {
                match n {
                    0 => may_end.wait(),
                    // The completions of items 1 to 3 have been recorded by now.
                    4 => has_started.open(),
                    _ => {}
                }
                Ok::<_, ()>(n)
            })
            .unwrap();
        assert!(stream.timing().is_none());
        fifth_has_started.wait();
        first_may_end.open();
        let mut orders = Vec::new();
        let mut before = None;
        while let Some(outcome) = stream.next() {
            assert!(outcome.is_ok());
            let timing = stream.timing().unwrap();
            assert!(timing.submitted() <= timing.started().unwrap());
            assert!(timing.started() <= timing.completed());
            let deliverable = timing.completed().unwrap() + timing.waited();
            assert!(before <= Some(deliverable), "an item was deliverable before an earlier one");
            before = Some(deliverable);
            orders.push(timing.completion_order().unwrap());
        }
        assert!(orders[0] >= 3, "items 1 to 3 completed before item 0");
        orders.sort_unstable();
        assert!(orders.into_iter().eq(0..1000));
    });
}
