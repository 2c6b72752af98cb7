//! Results that are too large for memory. A file of its own: compilers that instrument memory try to
//! lay such a result out.
#![cfg(target_pointer_width = "64")]

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};

use common::{Census, Member, executor, without_hanging};

#[test]
fn items_are_dropped_if_there_is_no_memory_for_their_results() {
    struct Huge(#[expect(dead_code, reason = "it is never made")] [u8; 1 << 44]);
    fn job(_: Member) -> Huge {
        unreachable!("there is no place for what it returns")
    }
    without_hanging(|| {
        let (executor, items) = (executor(1), Census::default());
        let made: Vec<_> = (0..1 << 20).map(|value| items.join(value)).collect();
        catch_unwind(AssertUnwindSafe(|| executor.map(made, job).len()))
            .expect_err("2^64 bytes are too many");
        assert_eq!(items.alive(), 0);
    });
}
