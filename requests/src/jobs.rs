//! Runs attempts: on the worker, or as futures on a runtime.

use std::collections::HashMap;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::{AbortHandle, Abortable};

use crate::attempt::{Attempt, AttemptOutcome};
use crate::dispatcher::AttemptId;
use crate::driver::{InFlight, Jobs};
use crate::primitive::{Mutex, lock};
use reorder_executor::Spawn;
use reorder_executor::dispatch::{DiscardOnDrop, catch_panic, discard};

/// Names types that a value does not hold.
type Marker<T> = PhantomData<fn() -> T>;

/// Jobs that run on the worker. An item is shared by its attempts.
pub(crate) struct Blocking<F, T, U, E> {
    job: DiscardOnDrop<F>,
    types: Marker<(T, U, E)>,
}

impl<F, T, U, E> Blocking<F, T, U, E> {
    pub(crate) fn new(job: F) -> Self {
        Blocking { job: DiscardOnDrop::new(job), types: PhantomData }
    }
}

impl<T, U, E, F> Jobs for Blocking<F, T, U, E>
where
    T: Send + Sync + 'static,
    U: Send + 'static,
    E: Send + 'static,
    F: Fn(&T, &Attempt) -> AttemptOutcome<U, E> + Send + Sync + 'static,
{
    type Item = T;
    type Value = U;
    type Error = E;

    fn begin(&self, item: Arc<T>, attempt: Attempt, in_flight: InFlight<Self>) {
        let job = || attempt.job.run(|| (*self.job)(&item, &attempt));
        let result = catch_unwind(AssertUnwindSafe(job));
        // It may be the last reference, if the item is over.
        discard(item);
        in_flight.finish(result);
    }
}

/// Jobs that are futures and run on a runtime. An item is shared by its attempts.
pub(crate) struct Spawned<S, F, A, T, U, E> {
    job: DiscardOnDrop<F>,
    types: Marker<(A, T, U, E)>,
    spawner: DiscardOnDrop<S>,
    running: Mutex<HashMap<AttemptId, AbortHandle>>,
}

impl<S, F, A, T, U, E> Spawned<S, F, A, T, U, E> {
    pub(crate) fn new(spawner: S, job: F) -> Self {
        Spawned {
            job: DiscardOnDrop::new(job),
            types: PhantomData,
            spawner: DiscardOnDrop::new(spawner),
            running: Mutex::default(),
        }
    }
}

impl<T, U, E, S, F, A> Jobs for Spawned<S, F, A, T, U, E>
where
    T: Send + Sync + 'static,
    U: Send + 'static,
    E: Send + 'static,
    S: Spawn + Send + Sync + 'static,
    F: Fn(Arc<T>, Attempt) -> A + Send + Sync + 'static,
    A: Future<Output = AttemptOutcome<U, E>> + Send + 'static,
{
    type Item = T;
    type Value = U;
    type Error = E;

    fn begin(&self, item: Arc<T>, attempt: Attempt, in_flight: InFlight<Self>) {
        let (id, of_job) = (attempt.id, attempt.clone());
        let job = || attempt.job.run(|| (*self.job)(item, of_job));
        let future = match catch_unwind(AssertUnwindSafe(job)) {
            Ok(future) => future,
            Err(payload) => return in_flight.finish(Err(payload)),
        };
        let future = as_part_of(attempt.clone(), future);
        let future = AssertUnwindSafe(future).catch_unwind();
        let (handle, registration) = AbortHandle::new_pair();
        lock(&self.running).insert(id, handle.clone());
        // A thread that ended the batch, the item or the attempt before the handle was stored did
        // not find it.
        let call = &in_flight.call;
        if call.is_over() || !call.dispatch().counts_attempt(id) || attempt.should_stop() {
            handle.abort();
        }
        let carried = Arc::new(Mutex::new(Carried::Spawning(in_flight)));
        let carrier = Carrier(Arc::clone(&carried));
        let task = Box::pin(async move {
            // An attempt that was aborted is lost.
            if let Ok(result) = Abortable::new(future, registration).await {
                if let Some(in_flight) = carrier.take() {
                    in_flight.finish(result);
                }
            }
        });
        let spawned = catch_unwind(AssertUnwindSafe(|| self.spawner.spawn(task)));
        let carried = {
            let mut carried = lock(&carried);
            match mem::replace(&mut *carried, Carried::Gone) {
                Carried::Spawning(in_flight) => {
                    *carried = Carried::Spawned(in_flight);
                    None
                }
                Carried::Dropped(in_flight) => Some(in_flight),
                Carried::Spawned(_) | Carried::Gone => None,
            }
        };
        match (carried, spawned) {
            (Some(in_flight), Err(payload)) => in_flight.spawner_panicked(payload),
            // The runtime has dropped the future.
            (Some(in_flight), Ok(())) => drop(in_flight),
            // The future is not lost, so its own end counts.
            (None, spawned) => discard(spawned),
        }
    }

    fn ended(&self, id: AttemptId) {
        let ended = lock(&self.running).remove(&id);
        discard(ended);
    }

    fn abort(&self, id: AttemptId) {
        // Not under the lock, because this uses a waker of the runtime.
        let handle = lock(&self.running).remove(&id);
        catch_panic(move || handle.into_iter().for_each(|handle| handle.abort()));
    }

    fn can_abort(&self) -> bool {
        !lock(&self.running).is_empty()
    }

    fn abort_all(&self) -> bool {
        let handles = mem::take(&mut *lock(&self.running));
        let had_some = !handles.is_empty();
        handles.into_values().for_each(|handle| catch_panic(move || handle.abort()));
        had_some
    }
}

/// The attempt of a future, beside the future: if the spawner panics and drops the future, the
/// panic is the end of the attempt.
enum Carried<J: Jobs> {
    /// The spawner is being called.
    Spawning(InFlight<J>),
    Spawned(InFlight<J>),
    /// The future was dropped while the spawner was called.
    Dropped(InFlight<J>),
    Gone,
}

/// The part of the future that has the attempt.
struct Carrier<J: Jobs>(Arc<Mutex<Carried<J>>>);

impl<J: Jobs> Carrier<J> {
    /// Takes the attempt, unless it has ended.
    fn take(&self) -> Option<InFlight<J>> {
        match mem::replace(&mut *lock(&self.0), Carried::Gone) {
            Carried::Spawning(in_flight) | Carried::Spawned(in_flight) => Some(in_flight),
            Carried::Dropped(_) | Carried::Gone => None,
        }
    }
}

impl<J: Jobs> Drop for Carrier<J> {
    fn drop(&mut self) {
        let mut carried = lock(&self.0);
        let lost = match mem::replace(&mut *carried, Carried::Gone) {
            Carried::Spawning(in_flight) => {
                *carried = Carried::Dropped(in_flight);
                None
            }
            lost => Some(lost),
        };
        drop(carried);
        // Not under the lock: this ends the attempt.
        drop(lost);
    }
}

/// Polls the future of an attempt as a part of the attempt.
async fn as_part_of<F: Future>(attempt: Attempt, future: F) -> F::Output {
    let mut future = pin!(future);
    poll_fn(|cx| attempt.job.poll(future.as_mut(), cx)).await
}
