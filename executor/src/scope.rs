//! Streams that borrow, and the call that outlives them.

use std::fmt;
use std::marker::PhantomData;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

use crate::batch::BatchReport;
use crate::executor::Executor;
use crate::primitive::{Mutex, lock, now};
use crate::scheduler::BorrowGuard;
use crate::stream::{Ordered, StreamWork, open_stream};
use crate::unwind::discard;

/// Starts streams and batches that may borrow whatever outlives the scope.
/// From [`Executor::scope`], which has an example.
pub struct Scope<'scope, 'env: 'scope> {
    executor: &'env Executor,
    held: Mutex<Vec<Held>>,
    /// Invariant, as in `std::thread::Scope`: a longer or shorter `'scope` would let borrows escape.
    scope: PhantomData<&'scope mut &'scope ()>,
}

/// A stream of the scope. The loan ends before the stream's own reference goes.
struct Held {
    guard: BorrowGuard,
    stream: Arc<dyn StreamWork>,
}

impl Held {
    /// Whether the stream's handle is gone, and no job of it runs. It can be dropped then without
    /// waiting for anybody.
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
    /// Returns when no job of the scope's streams runs any more, whatever panics; streams that are
    /// still open are stopped. A scope is for streams: [`map`](Executor::map) and
    /// [`execute_batch`](Executor::execute_batch) borrow without one.
    ///
    /// ```
    /// use reorder_executor::Executor;
    ///
    /// let executor = Executor::builder().workers(2).build()?;
    /// let words = ["ordered", "completion"];
    /// let lengths: Vec<usize> = executor.scope(|scope| {
    ///     scope.stream(&words, |word| word.len()).map(|outcome| outcome.expect("no panic")).collect()
    /// });
    /// assert_eq!(lengths, [7, 10]);
    /// # Ok::<(), reorder_executor::BuildError>(())
    /// ```
    ///
    /// # Panics
    ///
    /// If `f` panics, with its panic. Panics in the `Drop` of what a stream's job captured are
    /// caught.
    ///
    /// # Progress
    ///
    /// Blocking: after `f`, it waits for the jobs of its streams that have started, and for a source
    /// that is just being pulled.
    pub fn scope<'env, F, T>(&'env self, f: F) -> T
    where
        F: for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> T,
    {
        enter(self, f)
    }
}

impl<'scope, 'env> Scope<'scope, 'env> {
    /// As [`Executor::stream`], with a source and a job that may borrow.
    ///
    /// The job of a stream that was dropped is kept until the next one starts, or the scope ends.
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
    /// As there.
    ///
    /// # Progress
    ///
    /// As there.
    pub fn stream<I, U, F>(&'scope self, source: I, job: F) -> Ordered<'scope, U>
    where
        I: IntoIterator,
        I::IntoIter: Send + 'scope,
        I::Item: Send,
        U: Send + 'scope,
        F: Fn(I::Item) -> U + Send + Sync + 'scope,
    {
        let window = self.executor.window();
        let (core, consumer_end) =
            open_stream(self.executor, source.into_iter(), window, None, move |item| Ok(job(item)));
        let core = Arc::new(core);
        // SAFETY: `Held` ends the loan before it drops its reference to the stream, which keeps it
        // alive until then; what the stream borrows outlives the scope.
        let guard = unsafe { BorrowGuard::new(self.executor.scheduler(), &*core, now()) };
        let is_unlisted = !guard.is_visible();
        let stream: Arc<dyn StreamWork + 'scope> = core;
        // SAFETY: only the lifetime changes. The reference goes when the scope ends, within
        // `'scope`: `enter` drops it before it returns, and nobody can take it out.
        let held = unsafe {
            mem::transmute::<Arc<dyn StreamWork + 'scope>, Arc<dyn StreamWork>>(Arc::clone(&stream))
        };
        // Dropped here, and not under the lock, for this may run code of the user's.
        self.hold(Held { guard, stream: held }).into_iter().for_each(discard);
        Ordered::new(consumer_end, stream, self.executor.scheduler(), None, is_unlisted)
    }

    /// Takes one more in, and returns those that are over.
    fn hold(&self, new: Held) -> Vec<Held> {
        let mut held = lock(&self.held);
        let (over, mut rest): (Vec<_>, Vec<_>) = held.drain(..).partition(Held::is_over);
        rest.push(new);
        *held = rest;
        over
    }

    /// Ends all streams, and those that their jobs start meanwhile. Nothing panics out of here:
    /// `held` must be empty, and no job left that could reach it, when the scope is dropped.
    fn let_go(&self) {
        loop {
            let held = mem::take(&mut *lock(&self.held));
            if held.is_empty() {
                return;
            }
            // All are told before any is waited for.
            held.iter().for_each(|held| held.stream.cancel());
            held.into_iter().for_each(discard);
        }
    }

    /// See [`Executor::map`], which may borrow without a scope.
    ///
    /// # Panics
    ///
    /// As there.
    ///
    /// # Progress
    ///
    /// As there.
    pub fn map<I, U, F>(&self, items: I, job: F) -> Vec<U>
    where
        I: IntoIterator<IntoIter: Send, Item: Send>,
        U: Send,
        F: Fn(I::Item) -> U + Sync,
    {
        self.executor.map(items, job)
    }

    /// See [`Executor::execute_batch`], which may borrow without a scope.
    ///
    /// # Panics
    ///
    /// As there.
    ///
    /// # Progress
    ///
    /// As there.
    pub fn execute_batch<I, U, F>(&self, items: I, job: F) -> BatchReport<U>
    where
        I: IntoIterator<IntoIter: Send, Item: Send>,
        U: Send,
        F: Fn(I::Item) -> U + Sync,
    {
        self.executor.execute_batch(items, job)
    }
}

pub(crate) fn enter<'env, F, T>(executor: &'env Executor, f: F) -> T
where
    F: for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> T,
{
    let scope = Scope { executor, held: Mutex::default(), scope: PhantomData };
    let result = catch_unwind(AssertUnwindSafe(|| f(&scope)));
    scope.let_go();
    result.unwrap_or_else(|payload| resume_unwind(payload))
}

impl fmt::Debug for Scope<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope").finish_non_exhaustive()
    }
}
