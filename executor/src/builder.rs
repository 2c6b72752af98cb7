//! The settings of an executor, and its start.

use std::fmt;
use std::io;

use reorder_ring::CapacityError;

use crate::executor::{Executor, check_window, write_window_error};
use crate::limits::CancellationToken;
use crate::primitive::processors;
use crate::scheduler::{Scheduler, ThreadHook, ThreadSettings};

/// The largest number of workers. Each of them has a place in each batch.
const MAX_WORKERS: usize = 1 << 16;

/// The settings of an [`Executor`]. Made by [`Executor::builder`].
///
/// Each setting has a default. [`build`](Builder::build) checks the settings.
///
/// ```
/// use reorder_executor::Executor;
///
/// let executor = Executor::builder()
///     .workers(3)
///     .window(64)
///     .thread_name("squeeze")
///     .stack_size(512 * 1024)
///     .build()?;
/// let name = |_| std::thread::current().name().map(str::to_owned);
/// let mut names = executor.stream(0..100, name);
/// // A stream's items run on the workers. (This thread would help if they were known to be cheap.)
/// let first = names.next().expect("there are 100")?.expect("workers have names");
/// assert!(first.starts_with("squeeze-"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct Builder {
    workers: Option<usize>,
    window: usize,
    thread_name: String,
    stack_size: Option<usize>,
    on_start: ThreadHook,
    on_stop: ThreadHook,
    consumer_helps: bool,
}

impl Executor {
    /// Returns a builder with default settings. [`Builder`] has an example.
    ///
    /// # Progress
    ///
    /// It allocates a name. No thread starts before [`Builder::build`].
    pub fn builder() -> Builder {
        Builder::default()
    }
}

impl Default for Builder {
    fn default() -> Self {
        Builder {
            workers: None,
            window: 256,
            thread_name: "reorder-worker".to_owned(),
            stack_size: None,
            on_start: ThreadHook::default(),
            on_stop: ThreadHook::default(),
            consumer_helps: true,
        }
    }
}

impl Builder {
    /// Sets the number of workers, from 1 to 65,536. Workers are the threads that run items. A
    /// thread that is blocked inside a source does not count, and another thread takes its place
    /// meanwhile. The default is [`available_parallelism`](std::thread::available_parallelism), or
    /// 1 if it is unknown.
    ///
    /// The caller of a batch runs items, too. So does the consumer of a stream of
    /// [cheap](Builder::consumer_helps) items. If only one thread at a time calls the executor, one
    /// worker less than there are processors is enough.
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = Some(workers);
        self
    }

    /// Sets the window of a stream: the maximum number of items that were pulled from the source
    /// and whose outcomes were not taken. The range is from 1 to what memory allows. No item is
    /// pulled beyond it. The default is 256. [`BatchBuilder::window`](crate::BatchBuilder::window)
    /// sets it for one call.
    ///
    /// The window bounds the memory of a stream. It also bounds how far the workers can run ahead
    /// of a slow item or a slow consumer. A batch has no window, because all of its results are in
    /// memory anyway. A [queue](crate::Executor::queue) has the same default.
    ///
    /// ```
    /// use std::sync::atomic::{AtomicU64, Ordering};
    ///
    /// static PULLED: AtomicU64 = AtomicU64::new(0);
    /// let executor = reorder_executor::Executor::builder().workers(1).window(8).build()?;
    /// let source = (0..).inspect(|_| _ = PULLED.fetch_add(1, Ordering::Relaxed));
    /// let mut stream = executor.stream(source, |n: u64| n);
    /// _ = stream.next();
    /// // 8 outstanding and 1 taken, however long the consumer stays away.
    /// assert!(PULLED.load(Ordering::Relaxed) <= 9);
    /// # Ok::<(), reorder_executor::BuildError>(())
    /// ```
    pub fn window(mut self, items: usize) -> Self {
        self.window = items;
        self
    }

    /// Sets the name of the worker threads, which is followed by a dash and a number from 0 on. The
    /// default is `reorder-worker`.
    ///
    /// [`build`](Builder::build) panics if the prefix has a zero byte, as
    /// [`std::thread::Builder::name`] does.
    pub fn thread_name(mut self, prefix: impl Into<String>) -> Self {
        self.thread_name = prefix.into();
        self
    }

    /// Sets the stack size of a worker thread in bytes. Without this setting, the standard library
    /// decides. Batches that are nested in a job run on the stack of that job.
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.stack_size = Some(bytes);
        self
    }

    /// Sets a function that each worker thread calls at its start, before it runs any item. A
    /// second function replaces the first.
    ///
    /// The argument is the number of the thread, as in its [name](Builder::thread_name). A thread
    /// that takes the place of a blocked one calls the function as well. A panic is caught, and the
    /// thread goes on.
    ///
    /// ```
    /// use std::sync::mpsc;
    /// use reorder_executor::Executor;
    ///
    /// let (started, calls) = mpsc::channel();
    /// let stopped = started.clone();
    /// let executor = Executor::builder()
    ///     .workers(2)
    ///     .on_thread_start(move |index| _ = started.send(index))
    ///     .on_thread_stop(move |index| _ = stopped.send(10 + index))
    ///     .build()?;
    /// // The drop waits for the workers.
    /// drop(executor);
    /// let mut calls: Vec<usize> = calls.try_iter().collect();
    /// calls.sort_unstable();
    /// assert_eq!(calls, [0, 1, 10, 11]);
    /// # Ok::<(), reorder_executor::BuildError>(())
    /// ```
    pub fn on_thread_start(mut self, hook: impl Fn(usize) + Send + Sync + 'static) -> Self {
        self.on_start = ThreadHook::new(hook);
        self
    }

    /// Sets a function that each worker thread calls at its end, after its last item.
    /// [`on_thread_start`](Builder::on_thread_start) has an example, and says what the argument is.
    ///
    /// A [shutdown](Executor::shutdown) and the drop of the executor wait for the function, as for
    /// a job. So the function must not wait for them.
    pub fn on_thread_stop(mut self, hook: impl Fn(usize) + Send + Sync + 'static) -> Self {
        self.on_stop = ThreadHook::new(hook);
        self
    }

    /// Sets whether the consumer of a stream runs items while it waits for the next outcome, if
    /// items took less than 50 µs on average. The default is `true`.
    ///
    /// Jobs may then run on the thread of the consumer, while it holds its locks, and with its
    /// thread-local values. Turn the setting off if jobs must not do that.
    ///
    /// The consumer does not call a source that may block. Workers pull items for it.
    ///
    /// The thread that calls an [`OrderedWriter`](crate::OrderedWriter) encodes blocks while it
    /// waits, whatever they cost. If the setting is off, this thread encodes none, and waits for
    /// the workers.
    ///
    /// In two cases no other thread might run the items or blocks. Then the consumer runs them in
    /// any case:
    /// * The consumer is a worker of this or another executor.
    /// * The stream or the writer outlived the executor.
    ///
    /// The caller of `map` and `execute_batch` always runs items of its own batch.
    ///
    /// ```
    /// # use reorder_executor::Executor;
    /// let executor = Executor::builder().workers(1).consumer_helps(false).build()?;
    /// let here = std::thread::current().id();
    /// let mut threads = executor.stream(0..1000, |_| std::thread::current().id());
    /// assert!(threads.all(|id| id.is_ok_and(|id| id != here)));
    /// # Ok::<(), reorder_executor::BuildError>(())
    /// ```
    pub fn consumer_helps(mut self, helps: bool) -> Self {
        self.consumer_helps = helps;
        self
    }

    /// Starts the workers.
    ///
    /// ```
    /// # use reorder_executor::{BuildError, Executor};
    /// let error = Executor::builder().workers(0).build().unwrap_err();
    /// assert!(matches!(error, BuildError::NoWorkers));
    /// ```
    ///
    /// # Errors
    ///
    /// [`BuildError`] if a setting is out of its range, or the system refuses a thread. Threads
    /// that had started are ended.
    ///
    /// # Panics
    ///
    /// If the name of the threads has a zero byte.
    ///
    /// # Progress
    ///
    /// Blocking as the system does: it starts the threads, and does not wait until they run.
    pub fn build(self) -> Result<Executor, BuildError> {
        match self.workers {
            Some(0) => return Err(BuildError::NoWorkers),
            Some(requested) if requested > MAX_WORKERS => {
                return Err(BuildError::TooManyWorkers { requested, largest: MAX_WORKERS });
            }
            _ => {}
        }
        // Tried once here, so that the builder reports it and not the first stream.
        check_window(self.window).map_err(BuildError::Window)?;
        let requested = self.workers.unwrap_or_else(processors);
        let settings = ThreadSettings {
            workers: requested,
            name: self.thread_name,
            stack_size: self.stack_size,
            on_start: self.on_start,
            on_stop: self.on_stop,
        };
        let executor = Executor {
            scheduler: Scheduler::new(settings, self.consumer_helps),
            window: self.window,
            processors: processors(),
            shutdown: CancellationToken::new(),
            closing: CancellationToken::new(),
        };
        executor.scheduler.enable_monitor();
        for started in 0..requested {
            // Dropping the executor ends the workers that run.
            let spawned = executor.scheduler.start_worker();
            spawned.map_err(|error| BuildError::Spawn { started, requested, error })?;
        }
        Ok(executor)
    }
}

/// The reason why an executor could not be built. [`Builder::build`] has an example.
#[derive(Debug)]
#[non_exhaustive]
pub enum BuildError {
    /// No workers were requested. There must be at least 1.
    NoWorkers,
    /// More workers were requested than any executor may have.
    TooManyWorkers {
        /// The number of requested workers.
        requested: usize,
        /// The largest number of workers.
        largest: usize,
    },
    /// The window is 0, or too large for memory.
    Window(CapacityError),
    /// The system refused a thread.
    Spawn {
        /// The number of workers that had started before.
        started: usize,
        /// The number of requested workers.
        requested: usize,
        /// The error of the system.
        error: io::Error,
    },
    /// The global executor was made before. Returned by [`Builder::build_global`] only.
    GlobalExists,
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BuildError::NoWorkers => f.write_str("an executor needs at least 1 worker, not 0"),
            BuildError::TooManyWorkers { requested, largest } => {
                write!(f, "an executor has at most {largest} workers, not {requested}")
            }
            BuildError::Window(error) => write_window_error(f, error),
            BuildError::Spawn { started, requested, .. } => {
                write!(f, "only {started} of {requested} workers could be started")
            }
            BuildError::GlobalExists => f.write_str("the global executor was made before"),
        }
    }
}

impl std::error::Error for BuildError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            BuildError::NoWorkers
            | BuildError::TooManyWorkers { .. }
            | BuildError::GlobalExists => None,
            BuildError::Window(error) => Some(error),
            BuildError::Spawn { error, .. } => Some(error),
        }
    }
}
