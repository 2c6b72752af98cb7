//! Drops that panic in the builder of requests.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::common::executor;
use reorder_requests::RequestsExt;

/// Panics when it is dropped.
struct Fuse(&'static str);

impl Drop for Fuse {
    fn drop(&mut self) {
        panic!("{}", self.0);
    }
}

/// A builder that starts nothing drops its source and its function for weights. Both panic, and the
/// process goes on.
#[test]
fn a_source_and_a_weight_panic_when_their_builder_is_dropped() {
    let executor = executor(1);
    let (in_source, in_weight) = (Fuse("the source's drop"), Fuse("a capture"));
    let source = std::iter::once(1).inspect(move |_| _ = &in_source);
    let weigh = move |_: &usize| {
        let _ = &in_weight;
        1
    };
    let requests = executor.batch(source).weight(1, weigh).requests();
    let payload = catch_unwind(AssertUnwindSafe(|| drop(requests))).expect_err("it panics");
    assert_eq!(payload.downcast_ref::<String>().expect("a text"), "the source's drop");
}
