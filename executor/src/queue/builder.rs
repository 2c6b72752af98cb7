//! The settings of a queue.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;

use crate::batch::builder::{Admitted, BatchBuilder, Job, limited_job};
use crate::batch::handle::Refused;
use crate::cost::max_chunk_size;
use crate::executor::{Executor, check_window};
use crate::io::Delivered;
use crate::limits::{Budget, Current, LimitState, Limits};
use crate::queue::core::{QueueCore, QueueJob, Weigh};
use crate::queue::sender::{QueueSender, Task};
use crate::scheduler::{Admission, ConcurrencyLimit};
use crate::stream::{ConsumerEnd, Opened, Ordered, open_ring, publish, publish_with_limits};
use crate::unwind::DiscardOnDrop;

/// Makes the job for a call.
type MakeJob<T, U, E> = Box<dyn FnOnce(Arc<LimitState>) -> QueueJob<T, U, E>>;

/// The settings of a queue. Made by [`Executor::queue`], [`Executor::task_queue`] or
/// [`BatchBuilder::queue`].
#[must_use = "nothing runs until `build` is called"]
pub struct QueueBuilder<'e, T, U, E = Infallible> {
    executor: &'e Executor,
    window: usize,
    limits: Option<Limits>,
    concurrency: Option<ConcurrencyLimit>,
    /// The limit of the total weight.
    weight: Option<(u64, DiscardOnDrop<Weigh<T>>)>,
    job: DiscardOnDrop<MakeJob<T, U, E>>,
}

impl Executor {
    /// Makes a queue: a stream whose items any number of threads and tasks send. The outcomes come
    /// in the order in which the items were sent.
    ///
    /// The items of a [`stream`](Executor::stream) are pulled from a source. Here, a
    /// [`QueueSender`] sends each item. If the window is full, the sender waits on its own thread
    /// or task. The outcomes end when all senders were dropped.
    ///
    /// A thread takes several items at once if the items before them were cheap. The number of
    /// items behind a slow item is at most the number that ran cheaply before it in the same queue.
    /// If items wait for each other, use [`BatchBuilder::queue`]: there, each thread takes one item
    /// at a time.
    ///
    /// ```
    /// use reorder_executor::Executor;
    /// use std::thread;
    ///
    /// let executor = Executor::builder().workers(2).build()?;
    /// let (sender, lengths) = executor.queue(|line: String| line.len()).window(64).build()?;
    /// let reader = thread::spawn(move || {
    ///     for line in ["one", "three", "five"] {
    ///         sender.send(line.to_string()).expect("the results are wanted");
    ///     }
    /// });
    /// let lengths: Vec<usize> = lengths.collect::<Result<_, _>>()?;
    /// assert_eq!(lengths, [3, 5, 4]);
    /// # reader.join().unwrap();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn queue<T, U, F>(&self, job: F) -> QueueBuilder<'_, T, U>
    where
        T: Send + 'static,
        U: Send + 'static,
        F: Fn(T) -> U + Send + Sync + 'static,
    {
        let job: MakeJob<T, U, Infallible> = Box::new(move |call| {
            Box::new(move |_, item| {
                // A call in the job finds out whether the outcome is unwanted.
                Ok(Current::of_call(&call).run(|| job(item)))
            })
        });
        let (limits, concurrency, weight) = (None, None, None);
        let job = DiscardOnDrop::new(job);
        QueueBuilder { executor: self, window: self.window, limits, concurrency, weight, job }
    }

    /// Makes a [queue](Executor::queue) whose items are closures, so that each item can have a job
    /// of its own.
    ///
    /// ```
    /// # let executor = reorder_executor::Executor::builder().workers(2).build()?;
    /// let (sender, texts) = executor.task_queue().build()?;
    /// let (name, count) = ("lines", 3);
    /// sender.push(move || name.to_uppercase())?;
    /// sender.push(move || (2 * count).to_string())?;
    /// drop(sender);
    /// let texts: Vec<String> = texts.collect::<Result<_, _>>()?;
    /// assert_eq!(texts, ["LINES", "6"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn task_queue<U: Send + 'static>(&self) -> QueueBuilder<'_, Task<U>, U> {
        self.queue(|task: Task<U>| task())
    }
}

impl<'e> BatchBuilder<'e, ()> {
    /// Makes a [queue](Executor::queue) with the limits of this batch. The batch itself has no
    /// items: `executor.batch(())`.
    ///
    /// The limits hold as for a [`stream`](BatchBuilder::stream). Each thread takes one item at a
    /// time.
    ///
    /// ```
    /// # use reorder_executor::{Executor, Failure};
    /// # let executor = Executor::builder().workers(2).build()?;
    /// let batch = executor.batch(()).fail_fast();
    /// let (sender, numbers) = batch.queue(|text: &str, _| text.parse::<u8>()).build()?;
    /// ["1", "x", "3"].into_iter().for_each(|text| _ = sender.send(text));
    /// drop(sender);
    /// let outcomes: Vec<_> = numbers.collect();
    /// let [Ok(1), Err(Failure::Failed { error, .. }), ..] = &outcomes[..] else { panic!() };
    /// println!("{error}");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn queue<T, U, E, F>(self, job: F) -> QueueBuilder<'e, T, U, E>
    where
        T: Send + 'static,
        U: Send + 'static,
        E: Send + 'static,
        F: Fn(T, &Job<'_>) -> Result<U, E> + Send + Sync + 'static,
    {
        let job: MakeJob<T, U, E> = Box::new(move |call| Box::new(limited_job(call, job)));
        let BatchBuilder { executor, limits, window, .. } = self;
        let (concurrency, job) = (limits.concurrency.clone(), DiscardOnDrop::new(job));
        QueueBuilder { executor, window, limits: Some(limits), concurrency, weight: None, job }
    }
}

impl<T, U, E> QueueBuilder<'_, T, U, E>
where
    T: Send + 'static,
    U: Send + 'static,
    E: Send + 'static,
{
    /// Sets the window, at least 1: the maximum number of items that were sent and whose outcomes
    /// were not taken. The default is the window of the executor.
    ///
    /// No item is sent beyond it. After it [became smaller](Ordered::set_window), more may be
    /// outstanding, also by one for each ready sink.
    ///
    /// The outcomes of cheap items travel in groups. A group makes room when its last outcome is
    /// taken. In a queue with limits or with [weights](QueueBuilder::weight), each outcome makes
    /// room.
    pub fn window(mut self, items: usize) -> Self {
        self.window = items;
        self
    }

    /// Limits the number of threads that run items of the queue at the same time, as
    /// [`BatchBuilder::concurrency`] does.
    pub fn concurrency(mut self, limit: impl Into<ConcurrencyLimit>) -> Self {
        self.concurrency = Some(limit.into());
        self
    }

    /// Bounds the total weight of the items that were sent and whose outcomes were not taken, as
    /// [`BatchBuilder::weight`] does for a stream. A sender waits until its item fits, or until no
    /// outstanding item has a weight.
    ///
    /// * The sender calls `weigh` once for each item, on its own thread. If `weigh` panics, the
    ///   item is dropped, and the panic is passed on.
    /// * A [`Place`](crate::Place) has no weight.
    /// * Each thread takes one item at a time, so that each outcome makes room when it is taken.
    /// * With the feature `sink`, a sink is ready before it gets its item. So each ready sink may
    ///   exceed the limit by one item.
    /// * A heavy item may wait while other senders send lighter items.
    ///
    /// ```
    /// use std::thread;
    /// # use reorder_executor::Executor;
    /// # let executor = Executor::builder().workers(2).build()?;
    /// let queue = executor.queue(|text: String| text.len());
    /// let (sender, lengths) = queue.weight(1000, |text| text.len() as u64).build()?;
    /// thread::spawn(move || {
    ///     for length in [10, 5000, 600, 500] {
    ///         sender.send("x".repeat(length)).expect("the lengths are wanted");
    ///     }
    /// });
    /// let lengths: Vec<usize> = lengths.collect::<Result<_, _>>()?;
    /// assert_eq!(lengths, [10, 5000, 600, 500]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn weight(mut self, limit: u64, weigh: impl Fn(&T) -> u64 + Send + Sync + 'static) -> Self {
        if let Some(limits) = &mut self.limits {
            limits.weight = Some(limit);
        }
        self.weight = Some((limit, DiscardOnDrop::new(Box::new(weigh))));
        self
    }

    /// Starts the queue. Returns the first sender, which can be cloned, and the stream of outcomes.
    ///
    /// # Errors
    ///
    /// [`Refused`] if the executor was shut down, or the window is 0 or too large.
    ///
    /// # Panics
    ///
    /// If there is no memory for the window.
    #[expect(clippy::type_complexity, reason = "a pair, as of each channel")]
    pub fn build(self) -> Result<(QueueSender<T, U, E>, Ordered<'static, U, E>), Refused<()>> {
        let QueueBuilder { executor, window, limits, concurrency, weight, job } = self;
        check_window(window).map_err(|error| Refused::window((), error))?;
        let refused = || Refused::shut_down(());
        let (admission, limits) = match limits {
            None => (Admission::new(&executor.scheduler).ok_or_else(refused)?, None),
            Some(limits) => {
                let call = Admitted::new(executor, window, limits).ok_or_else(refused)?;
                (call.admission, Some(call.limits))
            }
        };
        let max_chunk = match (&limits, &weight) {
            (None, None) => max_chunk_size(window, executor.parallelism()),
            // An outcome of a chunk makes room only with the last one.
            _ => 1,
        };
        let (core, consumer_end) =
            make_core(executor, window, max_chunk, limits, concurrency, weight, job);
        let outcomes = publish_with_limits(executor, admission, Arc::clone(&core), consumer_end);
        Ok((QueueSender::new(core), outcomes))
    }

    /// Starts a queue without limits, also if the executor was shut down. Then the consumer runs
    /// the items.
    ///
    /// # Panics
    ///
    /// As [`build`](QueueBuilder::build).
    pub(crate) fn open(self) -> (QueueSender<T, U, E>, Ordered<'static, U, E>) {
        let QueueBuilder { executor, window, concurrency, job, .. } = self;
        let max_chunk = max_chunk_size(window, executor.parallelism());
        let (core, consumer_end) =
            make_core(executor, window, max_chunk, None, concurrency, None, job);
        let outcomes = publish(executor, Arc::clone(&core), consumer_end);
        (QueueSender::new(core), outcomes)
    }
}

/// Makes a queue that no thread knows yet.
#[expect(clippy::type_complexity, reason = "both ends of the queue")]
fn make_core<T: Send, U: Send, E: Send>(
    executor: &Executor,
    window: usize,
    max_chunk: usize,
    limits: Option<Arc<LimitState>>,
    concurrency: Option<ConcurrencyLimit>,
    weight: Option<(u64, DiscardOnDrop<Weigh<T>>)>,
    job: DiscardOnDrop<MakeJob<T, U, E>>,
) -> (Arc<QueueCore<T, U, E>>, ConsumerEnd<U, E>) {
    let Opened { producer, mut output, consumer_end } = open_ring(window, limits.clone());
    let weigh = weight.map(|(limit, weigh)| {
        if output.delivered.budget().is_none() {
            output.delivered = Delivered::new(Some(Arc::new(Budget::new(limit))));
        }
        weigh.into_inner()
    });
    let job = job.into_inner();
    let (job, scheduler) = (job(Arc::clone(&consumer_end.call)), Arc::clone(&executor.scheduler));
    let concurrency = concurrency.as_ref();
    let core = QueueCore::new(job, producer, output, limits, max_chunk, concurrency, scheduler);
    (Arc::new(core.with_weights(weigh)), consumer_end)
}

impl<T, U, E> fmt::Debug for QueueBuilder<'_, T, U, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueueBuilder").field("window", &self.window).finish_non_exhaustive()
    }
}
