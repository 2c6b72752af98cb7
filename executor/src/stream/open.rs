//! Opens a stream: its ring, both ends of it, and its place in the scheduler.

use std::hash::Hash;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use reorder_ring::Ring;

use crate::cost::max_chunk_size;
use crate::executor::Executor;
use crate::io::{KeyOrder, Keyed, LazySource, OrderedOutput, OutputProducer, Spares};
use crate::limits::{LimitState, Limits};
use crate::observe::CallSpan;
use crate::outcome::Outcome;
use crate::primitive::now;
use crate::scheduler::{Admission, FairShare, Gate, Published};
use crate::stream::core::Core;
use crate::stream::in_call::InCall;
use crate::stream::ordered::{ConsumerEnd, Ordered};
use crate::stream::work::StreamWork;
use crate::unwind::{DiscardOnDrop, discard};

type CoreOf<I, U, E, F> = InCall<Core<(I, U, E, F)>>;

impl Executor {
    /// Runs `job` on the items of a source and yields the outcomes in the order of the source,
    /// while later items are still running.
    ///
    /// The source may be endless, because no more items are outstanding than the window of the
    /// executor. One thread at a time pulls it.
    ///
    /// The source may block for as long as it likes, and may wait for its own outcomes. After about
    /// a millisecond, other threads run the items that were pulled, and another thread takes the
    /// place of the worker inside the source. After such a stop, threads take one item at a time
    /// again, and more as items prove to be cheap. The consumer does not call the source while
    /// outcomes are missing, unless it is a range, or the iterator of a vector, an array or a
    /// slice.
    ///
    /// A thread takes several items at once if the items before them were cheap. Other threads
    /// cannot take these items. So an item may have to wait until a slow item before it has run.
    /// The number of items behind a slow item is at most the number that ran cheaply before it in
    /// the same stream. If items wait for each other, use
    /// [`BatchBuilder::stream`](crate::BatchBuilder::stream), which takes them one by one.
    ///
    /// A panic of the source ends the stream, and is its last outcome. So is a panic when the
    /// source is dropped at its end, if the window has space for it.
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
    /// If turning `source` into an iterator panics, or there is no memory for the window. Items
    /// travel over the stacks of threads, so large ones should be boxed.
    ///
    /// # Progress
    ///
    /// It does not wait for any item. The workers start, and [`Ordered`] waits.
    pub fn stream<I, U, F>(&self, source: I, job: F) -> Ordered<'static, U>
    where
        I: IntoIterator,
        I::IntoIter: Send + 'static,
        I::Item: Send,
        U: Send + 'static,
        F: Fn(I::Item) -> U + Send + Sync + 'static,
    {
        let job = DiscardOnDrop::new(job);
        let source = source.into_iter();
        let job = job.into_inner();
        let job = move |item| Ok(job(item));
        let (core, consumer_end) = open_stream(self, source, self.window, None, job);
        publish(self, Arc::new(core), consumer_end)
    }
}

/// The ring of a stream, taken apart.
pub(crate) struct Opened<U, E> {
    pub(crate) producer: OutputProducer<U, E>,
    pub(crate) output: OrderedOutput<U, E>,
    pub(crate) consumer_end: ConsumerEnd<U, E>,
}

/// Opens a ring for a stream. The ring has at least as many slots as the window has items.
///
/// # Panics
///
/// If there is no memory for the window.
pub(crate) fn open_ring<U, E>(window: usize, limits: Option<Arc<LimitState>>) -> Opened<U, E> {
    let ring = Arc::new(Ring::with_capacity(window).expect("memory for a window"));
    let (producer, consumer) = ring.open_owned().expect("a new ring is free").split();
    let spares = Arc::new(Spares::new());
    let key_window = limits.as_ref().and_then(|limits| limits.policy.settings.key_window);
    let (producer, keys) = match key_window {
        None => (OutputProducer::in_order(producer), None),
        Some(key_window) => {
            let keys = Arc::new(KeyOrder::new(Arc::clone(&ring), producer, key_window));
            (OutputProducer::by_key(Arc::clone(&keys)), Some(keys))
        }
    };
    let output = OrderedOutput::new(ring, Arc::clone(&spares), limits.clone(), keys, window);
    let call = limits.clone().unwrap_or_else(|| Arc::new(LimitState::new(Limits::default(), 0)));
    let consumer_end = ConsumerEnd { consumer, spares, call, limits, size_hint: (0, None) };
    Opened { producer, output, consumer_end }
}

/// Opens a stream over a lazy source. No thread runs it before it is published.
pub(crate) fn open_stream<I, U, E, F>(
    executor: &Executor,
    source: I,
    window: usize,
    limits: Option<Arc<LimitState>>,
    job: F,
) -> (CoreOf<I, U, E, F>, ConsumerEnd<U, E>)
where
    I: Iterator<Item: Send> + Send,
    U: Send,
    E: Send,
    F: Fn(I::Item) -> Outcome<U, E> + Send + Sync,
{
    open_lazy(executor, LazySource::new(source), window, limits, job)
}

/// Opens a stream as [`open_stream`], over a source that may have a budget.
pub(crate) fn open_lazy<I, U, E, F>(
    executor: &Executor,
    source: LazySource<I>,
    window: usize,
    limits: Option<Arc<LimitState>>,
    job: F,
) -> (CoreOf<I, U, E, F>, ConsumerEnd<U, E>)
where
    I: Iterator<Item: Send> + Send,
    U: Send,
    E: Send,
    F: Fn(I::Item) -> Outcome<U, E> + Send + Sync,
{
    let source = DiscardOnDrop::new(source);
    open_from(executor, move |_| source.into_inner(), window, limits, job)
}

/// Opens a stream of items with keys, in the order of their keys. The limits have a window of keys.
pub(crate) fn open_by_key<I, T, G, K, U, E, F>(
    executor: &Executor,
    source: I,
    key: DiscardOnDrop<G>,
    window: usize,
    limits: Arc<LimitState>,
    job: F,
) -> (impl StreamWork + use<I, T, G, K, U, E, F>, ConsumerEnd<U, E>)
where
    I: Iterator<Item = (usize, T)> + Send,
    T: Send,
    G: FnMut(&T) -> K + Send,
    K: Hash + Eq + Send,
    U: Send,
    E: Send,
    F: Fn(I::Item) -> Outcome<U, E> + Send + Sync,
{
    let source = DiscardOnDrop::new(source);
    let keyed = move |output: &OrderedOutput<U, E>| {
        let keys = output.keys().expect("the limits have a window of keys");
        let mut key = key;
        let key = DiscardOnDrop::new(move |(_, item): &(usize, T)| Some((*key)(item)));
        let source = Keyed::new(source.into_inner(), key, Arc::clone(keys));
        LazySource::new(source).with_keys(Keyed::take_key)
    };
    open_from(executor, keyed, window, Some(limits), job)
}

/// Opens a stream over the source that `source` makes.
fn open_from<I, U, E, F>(
    executor: &Executor,
    source: impl FnOnce(&OrderedOutput<U, E>) -> LazySource<I>,
    window: usize,
    limits: Option<Arc<LimitState>>,
    job: F,
) -> (CoreOf<I, U, E, F>, ConsumerEnd<U, E>)
where
    I: Iterator<Item: Send> + Send,
    U: Send,
    E: Send,
    F: Fn(I::Item) -> Outcome<U, E> + Send + Sync,
{
    let max_chunk = match limits {
        // Each item has a position of its own, so that it can be skipped alone.
        Some(_) => 1,
        None => max_chunk_size(window, executor.parallelism()),
    };
    let job = DiscardOnDrop::new(job);
    let Opened { producer, output, mut consumer_end } = open_ring(window, limits);
    let source = DiscardOnDrop::new(source(&output));
    consumer_end.size_hint = source.iterator().map_or((0, None), size_hint);
    let limit = consumer_end.call.policy.settings.concurrency.as_ref();
    let gate = limit.map(|limit| Gate::new(limit, &executor.scheduler.idle));
    let fair_share = FairShare::new(gate, CallSpan::stream());
    let (source, job) = (source.into_inner(), job.into_inner());
    let core = Core::new(source, job, producer, output, max_chunk, fair_share);
    (InCall::new(core, Arc::clone(&consumer_end.call)), consumer_end)
}

/// Returns the number of items that a source promises, or nothing if it may be endless.
fn size_hint(source: &impl Iterator) -> (usize, Option<usize>) {
    let hint = catch_unwind(AssertUnwindSafe(|| source.size_hint()));
    // The first pull meets the panic as well, and delivers it.
    let (least, most) = hint.map_err(discard).unwrap_or_default();
    if most.is_none() { (0, None) } else { (least, most) }
}

/// Publishes a stream without limits and returns its handle. If the executor was shut down, the
/// consumer runs the items.
pub(crate) fn publish<U: Send, E: Send, S: StreamWork + 'static>(
    executor: &Executor,
    stream: Arc<S>,
    consumer_end: ConsumerEnd<U, E>,
) -> Ordered<'static, U, E> {
    let published: Arc<dyn Published> = stream.clone();
    executor.scheduler.look_for_fork();
    let is_listed = executor.scheduler.publish(Arc::clone(&published), now());
    let id = is_listed.then(|| published.fair_share().id());
    Ordered::new(consumer_end, stream, &executor.scheduler, Some(published), id)
}

/// Publishes a stream with limits and returns its handle.
pub(crate) fn publish_with_limits<U: Send, E: Send, S: StreamWork + 'static>(
    executor: &Executor,
    admission: Admission,
    stream: Arc<S>,
    consumer_end: ConsumerEnd<U, E>,
) -> Ordered<'static, U, E> {
    let published: Arc<dyn Published> = stream.clone();
    if let Some(limits) = &consumer_end.limits {
        limits.policy.settings.all_tokens().for_each(|token| token.notify(&published));
    }
    admission.publish(Arc::clone(&published), now());
    let id = Some(published.fair_share().id());
    Ordered::new(consumer_end, stream, &executor.scheduler, Some(published), id)
}
