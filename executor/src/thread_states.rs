//! One state for each thread that runs jobs at the same time.

use std::fmt;

use crate::primitive::{Mutex, lock};
use crate::unwind::{DiscardEach, DiscardOnDrop};

/// States that jobs use one after the other, such as buffers, connections or random number
/// generators: one for each thread that runs jobs at the same time.
///
/// This is the state of [`map_init`](crate::Executor::map_init) for streams, submitted batches,
/// queues and calls of [dispatchers](crate::dispatch). A job borrows a state by
/// [`with`](ThreadStates::with), and gives it back. If no state is free, `with` makes another one.
/// So there are at most as many states as calls of `with` that ran at the same time: one for each
/// thread, and one more for each depth of nesting.
///
/// A call is nested if it comes from inside another `with` on the same thread. This also happens if
/// a job waits inside `with` for a call of the executor. The waiting thread then runs jobs of that
/// call, and these may use the same states.
///
/// The states are dropped together with this value, which usually belongs to the job. A panic of
/// their `Drop` is caught.
///
/// ```
/// use std::fmt::Write;
/// use reorder_executor::{Executor, ThreadStates};
///
/// let executor = Executor::builder().workers(2).build()?;
/// let buffers = ThreadStates::new(String::new);
/// let mut lengths = executor.stream(0..1000, move |n| {
///     buffers.with(|buffer| {
///         buffer.clear();
///         write!(buffer, "number {n}").expect("a string accepts everything");
///         buffer.len()
///     })
/// });
/// assert_eq!(lengths.next().expect("there are 1000")?, "number 0".len());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct ThreadStates<S, N> {
    /// The states that no thread uses now.
    free: Mutex<DiscardEach<S>>,
    init: DiscardOnDrop<N>,
}

impl<S, N: Fn() -> S> ThreadStates<S, N> {
    /// Returns no states yet. `init` makes each state when it is needed.
    pub fn new(init: N) -> Self {
        ThreadStates { free: Mutex::new(DiscardEach(Vec::new())), init: DiscardOnDrop::new(init) }
    }

    /// Calls `f` with a state that no other thread has meanwhile.
    ///
    /// A nested call on the same thread gets another state. So each depth of nesting makes one more
    /// state for each thread.
    ///
    /// # Panics
    ///
    /// If `f` or the function that makes a state panics. A state that `f` had is dropped then, and
    /// not used again.
    ///
    /// # Progress
    ///
    /// It takes a lock twice, each time for a few instructions.
    pub fn with<R>(&self, f: impl FnOnce(&mut S) -> R) -> R {
        let free = lock(&self.free).0.pop();
        let mut state = DiscardOnDrop::new(free.unwrap_or_else(|| (self.init)()));
        let result = f(&mut state);
        lock(&self.free).0.push(state.into_inner());
        result
    }
}

impl<S, N> fmt::Debug for ThreadStates<S, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThreadStates")
            .field("free", &lock(&self.free).0.len())
            .finish_non_exhaustive()
    }
}
