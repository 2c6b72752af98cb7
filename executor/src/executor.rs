//! The executor: worker threads, and the calls that use them.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use reorder_ring::Ring;

use crate::batch::BatchBuilder;
use crate::builder::{BuildError, Builder};
use crate::chunk::Spares;
use crate::failure::{Failure, Outcome, Panic};
use crate::hub::Hub;
use crate::init::PerThread;
use crate::limited::Limited;
use crate::ordered::{Ordered, Outlet};
use crate::pace::share;
use crate::plain;
use crate::primitive::thread::{self, JoinHandle};
use crate::primitive::{Parker, now, processors};
use crate::report::BatchReport;
use crate::scope::{self, Scope};
use crate::stream::Core;
use crate::token::CancellationToken;
use crate::work::Published;
use crate::worker;

/// Worker threads that any number of callers share.
///
/// Every call is a batch of its own, with its own ring: results never mix, and batches run at the
/// same time. Workers take turns between open batches. The caller of a batch helps with it, and
/// with nothing else, so calls may be nested in jobs as deep as the stack allows, even with one
/// worker.
///
/// ```
/// use reorder_executor::Executor;
///
/// let executor = Executor::builder().workers(2).build()?;
/// let squares = executor.map(0..100u64, |n| n * n);
/// assert_eq!(squares, (0..100u64).map(|n| n * n).collect::<Vec<_>>());
/// # Ok::<(), reorder_executor::BuildError>(())
/// ```
///
/// Dropping it waits until the workers have ended what they are at, a job or a pull of a source,
/// unless it is dropped inside of a job. A stream that is still open then goes on, on its consumer's
/// thread alone; one with limits, and a batch that was [submitted](BatchBuilder::submit), gets
/// [`Failure::ShutDown`] for what has not started. [`shutdown`](Executor::shutdown) can do better.
pub struct Executor {
    hub: Arc<Hub>,
    pub(crate) workers: Vec<JoinHandle<()>>,
    window: usize,
    /// How many threads can run at the same time, as the one that made this could tell.
    processors: usize,
    thread_name: String,
    /// Cancels the calls that have limits, when the executor goes.
    shutdown: CancellationToken,
}

impl Executor {
    /// Settings for a new executor; each has a default. [`Builder`] has an example.
    ///
    /// # Progress
    ///
    /// It allocates a name; no thread is started before [`Builder::build`].
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(crate) fn start(builder: Builder) -> Result<Executor, BuildError> {
        let processors = processors();
        let requested = builder.workers.unwrap_or(processors);
        let parkers: Vec<Parker> = (0..requested).map(|_| Parker::new()).collect();
        let unparkers = parkers.iter().map(Parker::unparker).collect();
        let mut executor = Executor {
            hub: Arc::new(Hub::new(unparkers, builder.consumer_helps)),
            workers: Vec::with_capacity(requested),
            window: builder.window,
            processors,
            thread_name: builder.thread_name,
            shutdown: CancellationToken::new(),
        };
        for (index, parker) in parkers.into_iter().enumerate() {
            let mut thread = thread::Builder::new().name(executor.name(index));
            if let Some(bytes) = builder.stack_size {
                thread = thread.stack_size(bytes);
            }
            let hub = Arc::clone(&executor.hub);
            match thread.spawn(move || worker::run(hub, index, parker)) {
                Ok(worker) => executor.workers.push(worker),
                // Dropping the executor ends those that run.
                Err(error) => return Err(BuildError::Spawn { started: index, requested, error }),
            }
        }
        Ok(executor)
    }

    /// How many worker threads there are. The caller of a batch comes on top.
    ///
    /// ```
    /// # use reorder_executor::Executor;
    /// assert_eq!(Executor::builder().workers(2).build()?.workers(), 2);
    /// # Ok::<(), reorder_executor::BuildError>(())
    /// ```
    ///
    /// # Progress
    ///
    /// Wait-free: it is fixed.
    pub fn workers(&self) -> usize {
        self.workers.len()
    }

    /// Runs `job` on every item and returns the results in the order of the items.
    ///
    /// This thread and the workers share the items, and the call returns when all have run. The
    /// source is pulled by one thread at a time, by whichever has time, while earlier items run; one
    /// that does not say exactly how many items it has is read to its end first.
    ///
    /// ```
    /// # use reorder_executor::Executor;
    /// # let executor = Executor::builder().workers(2).build()?;
    /// // It may borrow, and it may be nested.
    /// let table = [[1, 2, 3], [4, 5, 6]];
    /// let sums = executor.map(&table, |row| executor.map(row, |n| n * n).into_iter().sum::<u32>());
    /// assert_eq!(sums, [14, 77]);
    /// # Ok::<(), reorder_executor::BuildError>(())
    /// ```
    ///
    /// # Panics
    ///
    /// If jobs panicked, with the panic of the first such item in the order of the input; all
    /// other items have run, and their results were dropped. Also if memory is too short, or the source panics: after
    /// what came from it before has run, or, if it does not say how many items it has, before anything runs.
    ///
    /// # Progress
    ///
    /// Blocking: it returns when the slowest item has. It does not wait for other batches: if all
    /// workers are busy, this thread runs all items itself. But a worker that has started an item
    /// is waited for.
    pub fn map<I, U, F>(&self, items: I, job: F) -> Vec<U>
    where
        I: IntoIterator<IntoIter: Send, Item: Send>,
        U: Send,
        F: Fn(I::Item) -> U + Sync,
    {
        plain::values(plain::run(&self.hub, items.into_iter(), &job))
    }

    /// Runs `job` on the indices from 0 to `len` and returns the results in their order: [`map`] for
    /// a `job` that finds or makes its item by itself.
    ///
    /// An index range is there at once and is split as it stands, while an iterator is pulled by one
    /// thread at a time. That makes a difference if items take a few nanoseconds.
    ///
    /// ```
    /// # use reorder_executor::Executor;
    /// # let executor = Executor::builder().workers(2).build()?;
    /// let (a, b) = ([1.0, 2.0, 3.0], [0.5, 0.25, 2.0]);
    /// assert_eq!(executor.map_indexed(a.len(), |i| a[i] * b[i]), [0.5, 0.5, 6.0]);
    /// # Ok::<(), reorder_executor::BuildError>(())
    /// ```
    ///
    /// # Panics
    ///
    /// If jobs panicked, with the panic of the lowest such index; all other indices have run, and
    /// their results were dropped. Also if memory is too short.
    ///
    /// # Progress
    ///
    /// As [`map`].
    ///
    /// [`map`]: Executor::map
    pub fn map_indexed<U, F>(&self, len: usize, job: F) -> Vec<U>
    where
        U: Send,
        F: Fn(usize) -> U + Sync,
    {
        plain::values(plain::run_indexed(&self.hub, len, &job))
    }

    /// As [`map`](Executor::map), with a state that each thread makes for itself, by `init`, before the first item
    /// that it runs: a buffer, a connection, a generator of random numbers.
    ///
    /// ```
    /// # let executor = reorder_executor::Executor::builder().workers(2).build()?;
    /// let lines = executor.map_init(0..3, String::new, |buffer, n| {
    ///     buffer.clear();
    ///     buffer.push_str(&n.to_string());
    ///     buffer.len()
    /// });
    /// assert_eq!(lines, [1, 1, 1]);
    /// # Ok::<(), reorder_executor::BuildError>(())
    /// ```
    ///
    /// The states are dropped before it returns, on this thread; those with which a job panicked, where that was.
    ///
    /// # Panics
    ///
    /// As [`map`](Executor::map); a panic of `init` is that of the item. Also if the `Drop` of a state panics.
    ///
    /// # Progress
    ///
    /// As [`map`](Executor::map).
    pub fn map_init<I, S, U, N, F>(&self, items: I, init: N, job: F) -> Vec<U>
    where
        I: IntoIterator<IntoIter: Send, Item: Send>,
        S: Send,
        U: Send,
        N: Fn() -> S + Sync,
        F: Fn(&mut S, I::Item) -> U + Sync,
    {
        let states = PerThread::new(init);
        self.map(items, |item| states.with(|state| job(state, item)))
    }

    /// Runs `job` on every item and returns an outcome for each, in the order of the items. A
    /// panic is the outcome of its item and of no other.
    ///
    /// ```
    /// # use reorder_executor::{Executor, Failure};
    /// # let executor = Executor::builder().workers(2).build()?;
    /// let report = executor.execute_batch([6, 0, 3], |divisor| 12 / divisor);
    /// let [Ok(2), Err(Failure::Panicked(panic)), Ok(4)] = report.outcomes() else { panic!() };
    /// assert_eq!(panic.message(), "attempt to divide by zero");
    /// # Ok::<(), reorder_executor::BuildError>(())
    /// ```
    ///
    /// # Panics
    ///
    /// If the source panics, as there, or memory is too short.
    ///
    /// # Progress
    ///
    /// As [`map`](Executor::map).
    pub fn execute_batch<I, U, F>(&self, items: I, job: F) -> BatchReport<U>
    where
        I: IntoIterator<IntoIter: Send, Item: Send>,
        U: Send,
        F: Fn(I::Item) -> U + Sync,
    {
        let caught = |item| {
            catch_unwind(AssertUnwindSafe(|| job(item)))
                .map_err(|payload| Failure::Panicked(Panic::new(payload)))
        };
        BatchReport::new(self.map(items, caught), 0, Vec::new())
    }

    /// A batch with limits: it may fail fast, be cancelled, and have deadlines. [`BatchBuilder`] says how, and
    /// has an example.
    ///
    /// # Progress
    ///
    /// Nothing runs before [`BatchBuilder::run`], [`submit`](BatchBuilder::submit) or
    /// [`stream`](BatchBuilder::stream).
    pub fn batch<I>(&self, items: I) -> BatchBuilder<'_, I> {
        BatchBuilder::new(self, items)
    }

    /// Runs `job` on the items of a source and yields the outcomes in the order of the source,
    /// while later items are still running.
    ///
    /// The source may be endless: no more items are outstanding than the window of the executor.
    /// It is pulled by one thread at a time, by whichever has time; a source that blocks keeps that
    /// thread from other work. A panic of the source ends the stream and is an outcome of
    /// it; so is one when it is dropped at its end, if the window has room to say so.
    ///
    /// ```
    /// use reorder_executor::Executor;
    ///
    /// let executor = Executor::builder().workers(2).build()?;
    /// let mut squares = executor.stream(0u64.., |n| n * n);
    /// let first = squares.next().expect("the source is endless");
    /// assert_eq!(first?, 0);
    /// let more: Vec<u64> = squares.take(3).collect::<Result<_, _>>()?;
    /// assert_eq!(more, [1, 4, 9]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Panics
    ///
    /// If turning `source` into an iterator panics, or memory is too short. Items travel over the
    /// stacks of threads: box those that would not fit there many times.
    ///
    /// # Progress
    ///
    /// It does not wait for any item: the workers start, and [`Ordered`] waits.
    pub fn stream<I, U, F>(&self, source: I, job: F) -> Ordered<'static, U>
    where
        I: IntoIterator,
        I::IntoIter: Send + 'static,
        I::Item: Send,
        U: Send + 'static,
        F: Fn(I::Item) -> U + Send + Sync + 'static,
    {
        let (core, outlet) =
            new_stream(self, source.into_iter(), self.window, None, move |item| Ok(job(item)));
        let core = Arc::new(core);
        let published: Arc<dyn Published> = core.clone();
        let is_alone = !self.hub.publish(Arc::clone(&published), now());
        Ordered::new(outlet, core, Arc::clone(&self.hub), Some(published), is_alone)
    }

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
        scope::enter(self, f)
    }

    pub(crate) fn name(&self, worker: usize) -> String {
        format!("{}-{worker}", self.thread_name)
    }

    pub(crate) fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    pub(crate) fn window(&self) -> usize {
        self.window
    }

    pub(crate) fn shutdown_token(&self) -> &CancellationToken {
        &self.shutdown
    }
}

pub(crate) fn new_stream<I, U, E, F>(
    executor: &Executor,
    source: I,
    window: usize,
    limited: Option<Arc<Limited>>,
    job: F,
) -> (Core<I, U, E, F>, Outlet<U, E>)
where
    I: Iterator + Send,
    I::Item: Send,
    U: Send,
    E: Send,
    F: Fn(I::Item) -> Outcome<U, E> + Send + Sync,
{
    let ring = Arc::new(Ring::with_capacity(window).expect("memory for a window"));
    let (producer, consumer) = ring.open_owned().expect("a new ring is free").split();
    let spares = Arc::new(Spares::new());
    // Threads that have to wait for a processor need no share.
    let share = share(ring.capacity(), executor.hub.takers().min(executor.processors));
    let core = Core::new(source, job, ring, producer, Arc::clone(&spares), limited.clone(), share);
    (core, Outlet { consumer, spares, limited })
}

impl fmt::Debug for Executor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Executor")
            .field("workers", &self.workers())
            .field("window", &self.window)
            .finish_non_exhaustive()
    }
}
