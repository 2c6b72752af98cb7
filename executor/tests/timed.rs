//! What is told of when items ran, one after the other. Of whole batches, `limits` and `requests` test it.

mod common;

use common::{Door, without_hanging};
use reorder_executor::Executor;

#[test]
fn outcomes_of_a_timed_stream_say_when_they_ran() {
    without_hanging(|| {
        let executor = Executor::builder().workers(2).window(8).build().unwrap();
        let (first, second) = (Door::default(), Door::default());
        let (wait, done) = (first.clone(), second.clone());
        let batch = executor.batch(0..1000_usize).timed();
        let mut stream = batch
            .stream(move |n, _| {
                match n {
                    0 => wait.pass(),
                    // Then 1 to 3 have been noted.
                    4 => done.open(),
                    _ => {}
                }
                Ok::<_, ()>(n)
            })
            .unwrap();
        assert!(stream.timing().is_none());
        second.pass();
        first.open();
        let mut orders = Vec::new();
        let mut before = None;
        while let Some(outcome) = stream.next() {
            assert!(outcome.is_ok());
            let timing = stream.timing().unwrap();
            assert!(timing.submitted() <= timing.started().unwrap());
            assert!(timing.started() <= timing.completed());
            let turn = timing.completed().unwrap() + timing.waited();
            assert!(before <= Some(turn), "nobody's turn comes before that of an earlier one");
            before = Some(turn);
            orders.push(timing.completion_order().unwrap());
        }
        assert!(orders[0] >= 3, "three had completed before it");
        orders.sort_unstable();
        assert!(orders.into_iter().eq(0..1000));
    });
}
