//! The global executor, where a program builds it. This test has its own file because it can be
//! built once in a process.

use std::error::Error;

use reorder_executor::{BuildError, Executor, IteratorExt};

#[test]
fn the_global_executor_is_built_once() {
    let refused = Executor::builder().workers(0).build_global().unwrap_err();
    assert!(matches!(refused, BuildError::NoWorkers));

    let built = Executor::builder().workers(3).thread_name("own").build_global().unwrap();
    assert_eq!(built.workers(), 3);
    assert!(std::ptr::eq(built, Executor::global()));
    let name = |_| std::thread::current().name().map(str::to_owned).unwrap();
    let mut names = (0..10).ordered_map(name);
    assert!(names.next().unwrap().starts_with("own-"));

    for workers in [1, 0] {
        let error = Executor::builder().workers(workers).build_global().unwrap_err();
        assert!(matches!(error, BuildError::GlobalExists));
        assert_eq!(error.to_string(), "the global executor was made before");
        assert!(error.source().is_none());
    }
    assert_eq!(Executor::global().workers(), 3);
}
