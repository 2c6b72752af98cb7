//! One state for each thread that encodes or decodes at the same time.

use crate::primitive::{Mutex, lock};
use crate::unwind::{DiscardEach, DiscardOnDrop};

/// The states that no thread uses now. There are at most as many as calls ran at the same time.
pub(super) struct States<S, N> {
    idle: Mutex<DiscardEach<S>>,
    init: DiscardOnDrop<N>,
}

impl<S, N: Fn() -> S> States<S, N> {
    pub(super) fn new(init: N) -> Self {
        States { idle: Mutex::new(DiscardEach(Vec::new())), init: DiscardOnDrop::new(init) }
    }

    /// Calls `f` with a state. If it panics, the state is dropped.
    pub(super) fn with<R>(&self, f: impl FnOnce(&mut S) -> R) -> R {
        let idle = lock(&self.idle).0.pop();
        let mut state = DiscardOnDrop::new(idle.unwrap_or_else(|| (self.init)()));
        let result = f(&mut state);
        lock(&self.idle).0.push(state.into_inner());
        result
    }
}
