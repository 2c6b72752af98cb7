//! Results that are too large for memory. This test has its own file because the sanitizers try to
//! lay out such a result, so that their runs leave the file out.
#![cfg(target_pointer_width = "64")]

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};

use common::{LiveCounter, Tracked, executor, with_timeout};

#[test]
fn items_are_dropped_if_there_is_no_memory_for_their_results() {
    struct Huge(#[expect(dead_code, reason = "no value of it is made")] [u8; 1 << 44]);
    fn job(_: Tracked) -> Huge {
        unreachable!("there is no memory for its result")
    }
    with_timeout(|| {
        let (executor, items) = (executor(1), LiveCounter::default());
        let made: Vec<_> = (0..1 << 20).map(|value| items.track(value)).collect();
        catch_unwind(AssertUnwindSafe(|| executor.map(made, job).len()))
            .expect_err("no allocator has 2^64 bytes");
        assert_eq!(items.alive(), 0);
    });
}
