//! The two kinds of jobs: one runs on the worker, and the other is a future that runs elsewhere.

use std::collections::HashMap;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::{Arc, PoisonError};
use std::time::Instant;

use futures_util::FutureExt;
use futures_util::future::{AbortHandle, Abortable};

use crate::failure::{Discarded, contain, discard};
use crate::hub::Hub;
use crate::limited::Limited;
use crate::primitive::{Mutex, MutexGuard, now};
use crate::requests::attempt_outcome::AttemptOutcome;
use crate::requests::flight::Flight;
use crate::requests::spawn::Spawn;
use crate::turn::Inside;

/// What a job of a [`Requests`](crate::Requests) can ask about its attempt.
#[derive(Clone)]
pub struct Attempt {
    limited: Arc<Limited>,
    index: u64,
    number: u32,
    started: Instant,
}

impl Attempt {
    pub(crate) fn new(limited: Arc<Limited>, index: u64, number: u32, started: Instant) -> Self {
        Attempt { limited, index, number, started }
    }

    /// Which item of its batch it is for, from 0 on.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// Which attempt at its item it is, from 1 on.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Whether the batch was cancelled, the executor shut down, or a deadline of the item has passed, which counts from
    /// its first attempt: then the answer will not count, or is not needed.
    ///
    /// # Progress
    ///
    /// Wait-free: two loads and a look at the clock.
    pub fn should_stop(&self) -> bool {
        self.limited.course.should_stop(Some(self.started), Some(now()))
    }

    /// When the answer will not count any more, by the deadlines of the item and of the batch; `None` if there are none.
    pub fn deadline(&self) -> Option<Instant> {
        self.limited.course.deadline(self.started)
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

/// How attempts at items `T` are made.
pub(crate) trait Jobs<T, U, E>: Send + Sync {
    /// An item as it is kept between its attempts.
    type Item: Send;
    fn keep(&self, item: T) -> Self::Item;
    /// Makes an attempt, or sets it going.
    fn begin(&self, item: Self::Item, attempt: Attempt, flight: Flight<Self::Item, U, E>);
    /// To be called when an attempt at this item has ended.
    fn ended(&self, _index: u64) {}
    /// Ends the attempt at this item, if there is one and it can be.
    fn abort(&self, _index: u64) {}
    /// Whether there is something that `abort_all` would end.
    fn can_abort(&self) -> bool {
        false
    }
    /// `false` if there was nothing to end.
    fn abort_all(&self) -> bool {
        false
    }
}

pub(crate) struct Blocking<F>(Discarded<F>);

impl<F> Blocking<F> {
    pub(crate) fn new(job: F) -> Self {
        Blocking(Discarded::new(job))
    }
}

impl<T, U, E, F> Jobs<T, U, E> for Blocking<F>
where
    T: Send,
    F: Fn(&T, &Attempt) -> AttemptOutcome<U, E> + Send + Sync,
{
    type Item = T;

    fn keep(&self, item: T) -> T {
        item
    }

    fn begin(&self, item: T, attempt: Attempt, flight: Flight<T, U, E>) {
        let result = catch_unwind(AssertUnwindSafe(|| (*self.0)(&item, &attempt)));
        flight.land(item, result);
    }
}

pub(crate) struct Spawned<S, F> {
    job: Discarded<F>,
    spawner: Discarded<S>,
    running: Mutex<HashMap<u64, AbortHandle>>,
}

impl<S, F> Spawned<S, F> {
    pub(crate) fn new(spawner: S, job: F) -> Self {
        Spawned {
            job: Discarded::new(job),
            spawner: Discarded::new(spawner),
            running: Mutex::default(),
        }
    }

    fn running(&self) -> MutexGuard<'_, HashMap<u64, AbortHandle>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T, U, E, S, F, A> Jobs<T, U, E> for Spawned<S, F>
where
    T: Send + Sync + 'static,
    U: Send + 'static,
    E: Send + 'static,
    S: Spawn + Send + Sync,
    F: Fn(Arc<T>, Attempt) -> A + Send + Sync,
    A: Future<Output = AttemptOutcome<U, E>> + Send + 'static,
{
    type Item = Arc<T>;

    fn keep(&self, item: T) -> Arc<T> {
        Arc::new(item)
    }

    fn begin(&self, item: Arc<T>, attempt: Attempt, flight: Flight<Arc<T>, U, E>) {
        let (index, of_job) = (attempt.index(), attempt.clone());
        let future = match catch_unwind(AssertUnwindSafe(|| (*self.job)(Arc::clone(&item), of_job)))
        {
            Ok(future) => future,
            Err(payload) => return flight.land(item, Err(payload)),
        };
        let future = inside(Arc::clone(flight.home().hub()), future);
        let future = AssertUnwindSafe(future).catch_unwind();
        let (handle, registration) = AbortHandle::new_pair();
        self.running().insert(index, handle.clone());
        // Whoever ended the batch, or gave up on the item, before the handle was there did not find it.
        if flight.home().is_over() || attempt.should_stop() {
            handle.abort();
        }
        contain(|| {
            self.spawner.spawn(Box::pin(async move {
                // An attempt that was aborted is lost.
                if let Ok(result) = Abortable::new(future, registration).await {
                    flight.land(item, result);
                }
            }));
        });
    }

    fn ended(&self, index: u64) {
        let ended = self.running().remove(&index);
        discard(ended);
    }

    fn abort(&self, index: u64) {
        // The waker of its runtime is not used under the lock.
        let handle = self.running().remove(&index);
        contain(move || handle.into_iter().for_each(|handle| handle.abort()));
    }

    fn can_abort(&self) -> bool {
        !self.running().is_empty()
    }

    fn abort_all(&self) -> bool {
        let handles = std::mem::take(&mut *self.running());
        let had_some = !handles.is_empty();
        handles.into_values().for_each(|handle| contain(move || handle.abort()));
        had_some
    }
}

/// Runs the future so that whoever asks knows it for a job of this hub.
async fn inside<F: Future>(hub: Arc<Hub>, future: F) -> F::Output {
    let mut future = pin!(future);
    poll_fn(|cx| {
        let _inside = Inside::enter(&hub);
        future.as_mut().poll(cx)
    })
    .await
}
