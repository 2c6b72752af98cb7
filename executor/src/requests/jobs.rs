//! Runs attempts: on the worker, or as futures on a runtime.

use std::collections::HashMap;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::{AbortHandle, Abortable};

use crate::primitive::{Mutex, lock};
use crate::requests::attempt::{Attempt, AttemptOutcome};
use crate::requests::in_flight::{InFlight, Jobs};
use crate::requests::spawn::Spawn;
use crate::scheduler::{Inside, Scheduler};
use crate::unwind::{DiscardOnDrop, catch_panic, discard};

/// Names types that a value does not hold.
type Marker<T> = PhantomData<fn() -> T>;

/// Jobs that run on the worker.
pub(crate) struct Blocking<F, I, U, E> {
    job: DiscardOnDrop<F>,
    types: Marker<(I, U, E)>,
}

impl<F, I, U, E> Blocking<F, I, U, E> {
    pub(crate) fn new(job: F) -> Self {
        Blocking { job: DiscardOnDrop::new(job), types: PhantomData }
    }
}

impl<I, U, E, F> Jobs for Blocking<F, I, U, E>
where
    I: Iterator<Item: Send> + Send + 'static,
    U: Send + 'static,
    E: Send + 'static,
    F: Fn(&I::Item, &Attempt) -> AttemptOutcome<U, E> + Send + Sync + 'static,
{
    type Source = I;
    type Value = U;
    type Error = E;

    fn begin(&self, item: I::Item, attempt: Attempt, in_flight: InFlight<Self>) {
        let result = catch_unwind(AssertUnwindSafe(|| (*self.job)(&item, &attempt)));
        in_flight.finish(item, result);
    }
}

/// Jobs that are futures and run on a runtime. An item is shared by its attempts.
pub(crate) struct Spawned<S, F, A, I, U, E> {
    job: DiscardOnDrop<F>,
    types: Marker<(A, I, U, E)>,
    spawner: DiscardOnDrop<S>,
    running: Mutex<HashMap<u64, AbortHandle>>,
}

impl<S, F, A, I, U, E> Spawned<S, F, A, I, U, E> {
    pub(crate) fn new(spawner: S, job: F) -> Self {
        Spawned {
            job: DiscardOnDrop::new(job),
            types: PhantomData,
            spawner: DiscardOnDrop::new(spawner),
            running: Mutex::default(),
        }
    }
}

impl<T, I, U, E, S, F, A> Jobs for Spawned<S, F, A, I, U, E>
where
    I: Iterator<Item = Arc<T>> + Send + 'static,
    T: Send + Sync + 'static,
    U: Send + 'static,
    E: Send + 'static,
    S: Spawn + Send + Sync + 'static,
    F: Fn(Arc<T>, Attempt) -> A + Send + Sync + 'static,
    A: Future<Output = AttemptOutcome<U, E>> + Send + 'static,
{
    type Source = I;
    type Value = U;
    type Error = E;

    fn begin(&self, item: Arc<T>, attempt: Attempt, in_flight: InFlight<Self>) {
        let (index, of_job) = (attempt.index(), attempt.clone());
        let future = match catch_unwind(AssertUnwindSafe(|| (*self.job)(Arc::clone(&item), of_job)))
        {
            Ok(future) => future,
            Err(payload) => return in_flight.finish(item, Err(payload)),
        };
        let future = inside(Arc::clone(&in_flight.driver.scheduler), future);
        let future = AssertUnwindSafe(future).catch_unwind();
        let (handle, registration) = AbortHandle::new_pair();
        lock(&self.running).insert(index, handle.clone());
        // A thread that ended the batch or skipped the item before the handle was stored did not
        // find it.
        if in_flight.driver.is_over() || attempt.should_stop() {
            handle.abort();
        }
        catch_panic(|| {
            self.spawner.spawn(Box::pin(async move {
                // An attempt that was aborted is lost.
                if let Ok(result) = Abortable::new(future, registration).await {
                    in_flight.finish(item, result);
                }
            }));
        });
    }

    fn ended(&self, index: u64) {
        let ended = lock(&self.running).remove(&index);
        discard(ended);
    }

    fn abort(&self, index: u64) {
        // Not under the lock, because this uses a waker of the runtime.
        let handle = lock(&self.running).remove(&index);
        catch_panic(move || handle.into_iter().for_each(|handle| handle.abort()));
    }

    fn can_abort(&self) -> bool {
        !lock(&self.running).is_empty()
    }

    fn abort_all(&self) -> bool {
        let handles = std::mem::take(&mut *lock(&self.running));
        let had_some = !handles.is_empty();
        handles.into_values().for_each(|handle| catch_panic(move || handle.abort()));
        had_some
    }
}

/// Polls a future as a job of this scheduler, so that `is_inside` returns `true` in it.
async fn inside<F: Future>(scheduler: Arc<Scheduler>, future: F) -> F::Output {
    let mut future = pin!(future);
    poll_fn(|cx| {
        let _inside = Inside::enter(&scheduler);
        future.as_mut().poll(cx)
    })
    .await
}
