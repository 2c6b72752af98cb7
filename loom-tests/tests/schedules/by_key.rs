//! Streams whose outcomes are in order by key.

use std::convert::Infallible;
use std::num::NonZeroUsize;
use std::sync::Arc;

use crate::{Latch, executor, explore};

fn items(count: usize) -> NonZeroUsize {
    NonZeroUsize::new(count).expect("not 0")
}

#[test]
fn parked_items_start_when_their_key_has_room() {
    explore(|| {
        let executor = executor(2);
        let batch = executor.batch(0..7_u64).window(items(4)).ordered_by_key(|n| n % 2);
        let stream = batch.key_window(items(1)).stream(|n, _| Ok::<_, Infallible>(n)).unwrap();
        let indices: Vec<u64> = stream.map(|next| next.index).collect();
        for key in 0..2 {
            assert!(indices.iter().filter(|&n| n % 2 == key).is_sorted(), "{indices:?}");
        }
        assert_eq!(indices.len(), 7);
    });
}

#[test]
fn a_stuck_key_holds_back_no_other() {
    explore(|| {
        let executor = executor(2);
        let latch = Arc::new(Latch::default());
        let waiter = Arc::clone(&latch);
        let batch = executor.batch(0..6_u64).window(items(4)).ordered_by_key(|n| *n == 0);
        let job = move |n: u64, _: &reorder_executor::Job<'_>| {
            if n == 0 {
                waiter.wait();
            }
            Ok::<_, Infallible>(n)
        };
        let mut stream = batch.stream(job).unwrap();
        let others: Vec<u64> = stream.by_ref().take(5).map(|next| next.index).collect();
        assert_eq!(others, [1, 2, 3, 4, 5]);
        latch.open();
        assert_eq!(stream.map(|next| next.index).collect::<Vec<_>>(), [0]);
    });
}
