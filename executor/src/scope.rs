//! Streams that borrow from the caller, and the scope that outlives them.

use std::fmt;
use std::marker::PhantomData;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

use crate::batch::BatchReport;
use crate::executor::Executor;
use crate::outcome::ItemError;
use crate::primitive::{Mutex, lock, now};
use crate::scheduler::{BorrowGuard, FairShare};
use crate::stream::{ConsumerEnd, Ordered, StreamWork, open_stream};
use crate::unwind::{DiscardOnDrop, discard};

mod batch;

/// Starts streams and batches that borrow from outside of the scope. Made by [`Executor::scope`],
/// which has an example.
pub struct Scope<'scope, 'env: 'scope> {
    executor: &'env Executor,
    held: Mutex<Vec<Held>>,
    /// Invariant, as in `std::thread::Scope`: a longer or shorter `'scope` would let borrows
    /// escape.
    scope: PhantomData<&'scope mut &'scope ()>,
}

/// A stream of the scope. Its borrow ends before this reference to the stream is dropped.
struct Held {
    guard: BorrowGuard,
    stream: Arc<dyn StreamWork>,
}

impl Held {
    /// Returns `true` if the handle of the stream is gone and no job of it runs. If so, dropping
    /// `self` does not wait.
    fn is_over(&self) -> bool {
        self.stream.is_cancelled() && self.guard.try_close()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.stream.cancel();
        self.guard.close();
    }
}

impl Executor {
    /// Runs `f` with a scope, in which streams may borrow from the caller.
    ///
    /// Returns when no job of the streams in the scope runs any more, whatever panics. Streams that
    /// are still open are stopped.
    ///
    /// A scope is for streams: [`map`](Executor::map) and
    /// [`execute_batch`](Executor::execute_batch) borrow without one.
    ///
    /// ```
    /// use reorder_executor::Executor;
    ///
    /// let executor = Executor::builder().workers(2).build()?;
    /// let words = ["ordered", "completion"];
    /// let lengths: Vec<usize> = executor.scope(|scope| {
    ///     let lengths = scope.stream(&words, |word| word.len());
    ///     lengths.map(|outcome| outcome.expect("no panic")).collect()
    /// });
    /// assert_eq!(lengths, [7, 10]);
    /// # Ok::<(), reorder_executor::BuildError>(())
    /// ```
    ///
    /// # Panics
    ///
    /// If `f` panics, with its panic. A panic in the `Drop` of a job's captures is caught.
    ///
    /// # Progress
    ///
    /// Blocking. After `f`, it waits for running jobs of its streams, and for a source that is
    /// being pulled.
    pub fn scope<'env, F, T>(&'env self, f: F) -> T
    where
        F: for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> T,
    {
        let scope = Scope { executor: self, held: Mutex::default(), scope: PhantomData };
        let result = catch_unwind(AssertUnwindSafe(|| f(&scope)));
        scope.let_go();
        result.unwrap_or_else(|payload| resume_unwind(payload))
    }
}

impl<'scope, 'env> Scope<'scope, 'env> {
    /// Opens a stream whose source and job may borrow. See [`Executor::stream`].
    ///
    /// After the handle of a stream is dropped, the scope keeps its job until the next stream
    /// starts or the scope ends.
    ///
    /// ```
    /// use reorder_executor::Executor;
    ///
    /// let executor = Executor::builder().workers(2).build()?;
    /// let mut left = vec![3, 2, 1];
    /// let factor = 10;
    /// let first = executor.scope(|scope| {
    ///     // The source borrows mutably, and is pulled on any thread.
    ///     scope.stream(left.drain(..), |n| n * factor).next()
    /// });
    /// assert_eq!(first.expect("there are three")?, 30);
    /// assert!(left.is_empty(), "the borrow has ended with the scope");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Panics
    ///
    /// As [`Executor::stream`].
    ///
    /// # Progress
    ///
    /// As [`Executor::stream`].
    pub fn stream<I, U, F>(&'scope self, source: I, job: F) -> Ordered<'scope, U>
    where
        I: IntoIterator,
        I::IntoIter: Send + 'scope,
        I::Item: Send,
        U: Send + 'scope,
        F: Fn(I::Item) -> U + Send + Sync + 'scope,
    {
        let window = self.executor.window;
        let job = DiscardOnDrop::new(job);
        let source = source.into_iter();
        let job = job.into_inner();
        let (core, consumer_end) =
            open_stream(self.executor, source, window, None, move |item| Ok(job(item)));
        self.publish(core, consumer_end)
    }

    /// Publishes a stream, and keeps it until the scope ends.
    fn publish<U, E, S>(
        &'scope self,
        core: S,
        consumer_end: ConsumerEnd<U, E>,
    ) -> Ordered<'scope, U, E>
    where
        U: Send + 'scope,
        E: Send + 'scope,
        S: StreamWork + 'scope,
    {
        let core = Arc::new(core);
        self.executor.scheduler.look_for_fork();
        let numbers = core.fair_share();
        let fair_share = FairShare::new(numbers.shared_gate(), numbers.span.clone());
        let scheduler = &self.executor.scheduler;
        // SAFETY: `Held` ends the borrow before it drops its reference to the stream, which keeps
        // the stream alive until then. The values that the stream borrows outlive the scope.
        let guard = unsafe { BorrowGuard::new(scheduler, &*core, now(), fair_share) };
        let id = guard.id();
        core.fair_share().note_id(id.unwrap_or(0));
        if let Some(limits) = &consumer_end.limits {
            let tokens = limits.policy.settings.all_tokens();
            tokens.for_each(|token| token.notify(guard.published()));
        }
        let stream: Arc<dyn StreamWork + 'scope> = core;
        // SAFETY: only the lifetime changes. `let_go` drops the reference within `'scope`, and
        // no other code can take it out.
        let held = unsafe {
            mem::transmute::<Arc<dyn StreamWork + 'scope>, Arc<dyn StreamWork>>(Arc::clone(&stream))
        };
        // Dropped here and not under the lock, because this may run user code.
        self.hold(Held { guard, stream: held }).into_iter().for_each(discard);
        Ordered::new(consumer_end, stream, &self.executor.scheduler, None, id)
    }

    /// Adds a stream, and returns the streams that are over.
    fn hold(&self, new: Held) -> Vec<Held> {
        let mut held = lock(&self.held);
        let (over, mut rest): (Vec<_>, Vec<_>) = held.drain(..).partition(Held::is_over);
        rest.push(new);
        *held = rest;
        over
    }

    /// Ends all streams, and the streams that their jobs start meanwhile.
    ///
    /// No panic leaves this function: when the scope is dropped, `held` must be empty, and no
    /// remaining job may reach it.
    fn let_go(&self) {
        loop {
            let held = mem::take(&mut *lock(&self.held));
            if held.is_empty() {
                return;
            }
            // All streams are cancelled before any is waited for.
            held.iter().for_each(|held| held.stream.cancel());
            held.into_iter().for_each(discard);
        }
    }

    /// Calls [`Executor::map`], which may borrow without a scope.
    ///
    /// # Panics
    ///
    /// As [`Executor::map`].
    ///
    /// # Progress
    ///
    /// As [`Executor::map`].
    pub fn map<I, U, F>(&self, items: I, job: F) -> Vec<U>
    where
        I: IntoIterator<IntoIter: Send, Item: Send>,
        U: Send,
        F: Fn(I::Item) -> U + Sync,
    {
        self.executor.map(items, job)
    }

    /// Calls [`Executor::try_map`], which may borrow without a scope.
    ///
    /// # Errors
    ///
    /// As [`Executor::try_map`].
    ///
    /// # Panics
    ///
    /// As [`Executor::try_map`].
    ///
    /// # Progress
    ///
    /// As [`Executor::try_map`].
    pub fn try_map<I, U, E, F>(&self, items: I, job: F) -> Result<Vec<U>, ItemError<E>>
    where
        I: IntoIterator<IntoIter: Send, Item: Send>,
        U: Send,
        E: Send,
        F: Fn(I::Item) -> Result<U, E> + Sync,
    {
        self.executor.try_map(items, job)
    }

    /// Calls [`Executor::execute_batch`], which may borrow without a scope.
    ///
    /// # Panics
    ///
    /// As [`Executor::execute_batch`].
    ///
    /// # Progress
    ///
    /// As [`Executor::execute_batch`].
    pub fn execute_batch<I, U, F>(&self, items: I, job: F) -> BatchReport<U>
    where
        I: IntoIterator<IntoIter: Send, Item: Send>,
        U: Send,
        F: Fn(I::Item) -> U + Sync,
    {
        self.executor.execute_batch(items, job)
    }
}

impl fmt::Debug for Scope<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope").finish_non_exhaustive()
    }
}
