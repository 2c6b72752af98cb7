//! Opens a stream: its ring, both ends of it, and its place in the scheduler.

use std::sync::Arc;

use reorder_ring::{Producer, Ring};

use crate::cost::max_chunk_size;
use crate::executor::Executor;
use crate::io::{ChunkRing, OrderedOutput, Spares};
use crate::limits::LimitState;
use crate::outcome::Outcome;
use crate::primitive::now;
use crate::scheduler::{Admission, Published};
use crate::stream::core::{ChunkLimit, Core};
use crate::stream::ordered::{ConsumerEnd, Ordered};
use crate::stream::work::StreamWork;

type CoreOf<I, U, E, F> = Core<(I, U, E, F)>;

/// The ring of a stream, taken apart.
pub(crate) struct Opened<U, E> {
    pub(crate) producer: Producer<ChunkRing<U, E>>,
    pub(crate) output: OrderedOutput<U, E>,
    pub(crate) consumer_end: ConsumerEnd<U, E>,
}

/// Opens a ring for a stream. The window is rounded up to a power of two.
///
/// # Panics
///
/// If there is no memory for the window.
pub(crate) fn open_ring<U, E>(window: usize, limits: Option<Arc<LimitState>>) -> Opened<U, E> {
    let ring = Arc::new(Ring::with_capacity(window).expect("memory for a window"));
    let (producer, consumer) = ring.open_owned().expect("a new ring is free").split();
    let spares = Arc::new(Spares::new());
    let output = OrderedOutput::new(ring, Arc::clone(&spares), limits.clone());
    Opened { producer, output, consumer_end: ConsumerEnd { consumer, spares, limits } }
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
    let chunk_limit = match limits {
        Some(_) => ChunkLimit::Single,
        None => {
            ChunkLimit::UpTo(max_chunk_size(window.next_power_of_two(), executor.parallelism()))
        }
    };
    let Opened { producer, output, consumer_end } = open_ring(window, limits);
    (Core::new(source, job, producer, output, chunk_limit), consumer_end)
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
        limits.policy.settings.tokens().for_each(|token| token.notify(&published));
    }
    admission.publish(Arc::clone(&published), now());
    Ordered::new(consumer_end, stream, &executor.scheduler, Some(published), false)
}
