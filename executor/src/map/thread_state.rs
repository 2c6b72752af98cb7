//! One state for each thread that takes part in a batch.

use crate::map::Job;
use crate::map::results::{Results, release};
use crate::primitive::{Mutex, into_inner, lock};
use crate::unwind::{DiscardEach, DiscardOnDrop};

/// The states of threads that are between two time slices, with the number of each thread.
type States<S> = Mutex<DiscardEach<(usize, S)>>;

/// A job that uses a state of its thread. A thread makes its state before its first item.
///
/// No thread-local variable is involved, because a thread may call while it exits. Its variables
/// may be gone by then.
pub(crate) struct WithState<S, N, F> {
    states: States<S>,
    init: DiscardOnDrop<N>,
    job: DiscardOnDrop<F>,
}

impl<S, N, F> WithState<S, N, F> {
    pub(crate) fn new(init: N, job: F) -> Self {
        let (init, job) = (DiscardOnDrop::new(init), DiscardOnDrop::new(job));
        WithState { states: Mutex::new(DiscardEach(Vec::new())), init, job }
    }

    /// Drops the states and the job. Their panics count as the last ones of the batch.
    pub(crate) fn release<U>(self, mut results: Results<U>) -> Results<U> {
        for (_, state) in into_inner(self.states).into_vec() {
            results = release(results, state);
        }
        release(release(results, self.init.into_inner()), self.job.into_inner())
    }
}

/// The place of a thread's state during one time slice.
pub(crate) struct Place<'a, S> {
    states: &'a States<S>,
    participant: usize,
    state: Option<S>,
}

impl<I, S, U, N, F> Job<I> for WithState<S, N, F>
where
    S: Send,
    U: Send,
    N: Fn() -> S + Sync,
    F: Fn(&mut S, I) -> U + Sync,
{
    type Value = U;
    type Local<'a>
        = Place<'a, S>
    where
        Self: 'a;

    fn local(&self, participant: usize) -> Place<'_, S> {
        let mut states = lock(&self.states);
        let own = states.0.iter().position(|(owner, _)| *owner == participant);
        let state = own.map(|own| states.0.swap_remove(own).1);
        Place { states: &self.states, participant, state }
    }

    /// If the job panics, the state is dropped, and the thread makes a new one for its next item.
    fn run(&self, place: &mut Place<'_, S>, item: I) -> U {
        let mut state = DiscardOnDrop::new(place.state.take().unwrap_or_else(|| (self.init)()));
        let result = (self.job)(&mut state, item);
        place.state = Some(state.into_inner());
        result
    }
}

impl<S> Drop for Place<'_, S> {
    fn drop(&mut self) {
        if let Some(state) = self.state.take() {
            lock(self.states).0.push((self.participant, state));
        }
    }
}
