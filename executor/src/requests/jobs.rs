//! Runs attempts: on the worker, or as futures on a runtime.

use std::collections::HashMap;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use futures_util::FutureExt;
use futures_util::future::{AbortHandle, Abortable};

use crate::limits::LimitState;
use crate::primitive::{Mutex, MutexGuard, lock, now};
use crate::requests::attempt_outcome::AttemptOutcome;
use crate::requests::in_flight::InFlight;
use crate::requests::spawn::Spawn;
use crate::scheduler::{Inside, Scheduler};
use crate::unwind::{DiscardOnDrop, catch_panic, discard};

/// An attempt at an item of [`Requests`](crate::Requests), as its job sees it.
#[derive(Clone)]
pub struct Attempt {
    limits: Arc<LimitState>,
    index: u64,
    number: u32,
    started: Instant,
}

impl Attempt {
    pub(crate) fn new(limits: Arc<LimitState>, index: u64, number: u32, started: Instant) -> Self {
        Attempt { limits, index, number, started }
    }

    /// Returns the index of the item in its batch, from 0 on.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// Returns the number of the attempt at this item, from 1 on.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Returns `true` if the outcome of this attempt is not needed, or will not count.
    ///
    /// The batch was cancelled, the executor was shut down, or a deadline of the item has passed.
    /// The time of an item counts from its first attempt.
    ///
    /// # Progress
    ///
    /// Wait-free: two loads and a reading of the clock.
    pub fn should_stop(&self) -> bool {
        self.limits.policy.should_stop(Some(self.started), Some(now()))
    }

    /// Returns the instant from which on the outcome does not count, by the deadlines of the item
    /// and of the batch. `None` without a deadline.
    pub fn deadline(&self) -> Option<Instant> {
        self.limits.policy.deadline(self.started)
    }
}

impl std::fmt::Debug for Attempt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Attempt")
            .field("index", &self.index)
            .field("number", &self.number)
            .finish_non_exhaustive()
    }
}

/// Makes attempts at items of type `T`.
pub(crate) trait Jobs<T>: Send + Sync {
    type Value: Send + 'static;
    type Error: Send + 'static;
    /// An item as it is kept between two attempts.
    type Kept: Send + 'static;

    fn keep(&self, item: T) -> Self::Kept;
    /// Runs an attempt, or starts it on a runtime.
    fn begin(
        &self,
        item: Self::Kept,
        attempt: Attempt,
        in_flight: InFlight<Self::Kept, Self::Value, Self::Error>,
    );
    /// Forgets the attempt at this item, which has ended.
    fn ended(&self, _index: u64) {}
    /// Aborts the attempt at this item, if it runs on a runtime.
    fn abort(&self, _index: u64) {}
    /// Returns `true` if `abort_all` would abort anything.
    fn can_abort(&self) -> bool {
        false
    }
    /// Aborts all attempts that run on a runtime. Returns `false` if there were none.
    fn abort_all(&self) -> bool {
        false
    }
}

/// Names types that a value does not hold.
type Marker<T> = PhantomData<fn() -> T>;

/// Jobs that run on the worker.
pub(crate) struct Blocking<F, U, E> {
    job: DiscardOnDrop<F>,
    outcome: Marker<(U, E)>,
}

impl<F, U, E> Blocking<F, U, E> {
    pub(crate) fn new(job: F) -> Self {
        Blocking { job: DiscardOnDrop::new(job), outcome: PhantomData }
    }
}

impl<T, U, E, F> Jobs<T> for Blocking<F, U, E>
where
    T: Send + 'static,
    U: Send + 'static,
    E: Send + 'static,
    F: Fn(&T, &Attempt) -> AttemptOutcome<U, E> + Send + Sync,
{
    type Value = U;
    type Error = E;
    type Kept = T;

    fn keep(&self, item: T) -> T {
        item
    }

    fn begin(&self, item: T, attempt: Attempt, in_flight: InFlight<T, U, E>) {
        let result = catch_unwind(AssertUnwindSafe(|| (*self.job)(&item, &attempt)));
        in_flight.finish(item, result);
    }
}

/// Jobs that are futures and run on a runtime.
pub(crate) struct Spawned<S, F, A, U, E> {
    job: DiscardOnDrop<F>,
    outcome: Marker<(A, U, E)>,
    spawner: DiscardOnDrop<S>,
    running: Mutex<HashMap<u64, AbortHandle>>,
}

impl<S, F, A, U, E> Spawned<S, F, A, U, E> {
    pub(crate) fn new(spawner: S, job: F) -> Self {
        Spawned {
            job: DiscardOnDrop::new(job),
            outcome: PhantomData,
            spawner: DiscardOnDrop::new(spawner),
            running: Mutex::default(),
        }
    }

    fn running(&self) -> MutexGuard<'_, HashMap<u64, AbortHandle>> {
        lock(&self.running)
    }
}

impl<T, U, E, S, F, A> Jobs<T> for Spawned<S, F, A, U, E>
where
    T: Send + Sync + 'static,
    U: Send + 'static,
    E: Send + 'static,
    S: Spawn + Send + Sync,
    F: Fn(Arc<T>, Attempt) -> A + Send + Sync,
    A: Future<Output = AttemptOutcome<U, E>> + Send + 'static,
{
    type Value = U;
    type Error = E;
    type Kept = Arc<T>;

    fn keep(&self, item: T) -> Arc<T> {
        Arc::new(item)
    }

    fn begin(&self, item: Arc<T>, attempt: Attempt, in_flight: InFlight<Arc<T>, U, E>) {
        let (index, of_job) = (attempt.index(), attempt.clone());
        let future = match catch_unwind(AssertUnwindSafe(|| (*self.job)(Arc::clone(&item), of_job)))
        {
            Ok(future) => future,
            Err(payload) => return in_flight.finish(item, Err(payload)),
        };
        let future = inside(Arc::clone(in_flight.owner().scheduler()), future);
        let future = AssertUnwindSafe(future).catch_unwind();
        let (handle, registration) = AbortHandle::new_pair();
        self.running().insert(index, handle.clone());
        // A thread that ended the batch or skipped the item before the handle was stored did not
        // find it.
        if in_flight.owner().is_over() || attempt.should_stop() {
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
        let ended = self.running().remove(&index);
        discard(ended);
    }

    fn abort(&self, index: u64) {
        // Not under the lock, because this uses a waker of the runtime.
        let handle = self.running().remove(&index);
        catch_panic(move || handle.into_iter().for_each(|handle| handle.abort()));
    }

    fn can_abort(&self) -> bool {
        !self.running().is_empty()
    }

    fn abort_all(&self) -> bool {
        let handles = std::mem::take(&mut *self.running());
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
