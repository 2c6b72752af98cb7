//! The consumer's handle of a stream.

use std::convert::Infallible;
use std::fmt;
use std::mem;
use std::sync::Arc;
use std::time::Instant;

use reorder_ring::{Consumer, Delivery, Reason, TryNextError};

use crate::alarm::TaskAlarm;
use crate::chunk::{Chunk, Spares};
use crate::failure::Failure;
use crate::hub::Hub;
use crate::limited::Limited;
use crate::park;
use crate::policy::Stop;
use crate::primitive::Backoff;
use crate::requests::RequestStats;
use crate::stream::ChunkRing;
use crate::timing::{Timing, Turns};
use crate::trace;
use crate::turn::Turn;
use crate::work::{Published, Stream};
use crate::worker;

mod iterate;
mod task;

use task::TaskWaker;

/// Where chunks come out of a stream, and where they go when they are empty.
pub(crate) struct Outlet<U, E> {
    pub(crate) consumer: Consumer<ChunkRing<U, E>>,
    pub(crate) spares: Arc<Spares<U, E>>,
    pub(crate) limited: Option<Arc<Limited>>,
}

/// The outcomes of a stream's items, in the order of its source.
///
/// While the next outcome is missing, the consumer's own thread runs items if these were measured to
/// be cheap and the source promises more by its `size_hint`; also if it is a worker of the executor,
/// or the executor was dropped. See [`Builder::consumer_helps`](crate::Builder::consumer_helps).
///
/// Where outcomes are small and many, `for_each`, `fold` and `count`, also behind `map` or `filter`, get them faster than
/// a `for` loop does.
///
/// Dropping it stops the stream: the source is pulled no further and dropped, results that are
/// still on their way are refused by the ring and dropped where they were made. It does not wait
/// for them, and may be forgotten: the stream then runs to the end of its window and stays there. What its job
/// captured goes with the last of them; a worker that is at another job may keep it until that returns.
///
/// ```
/// use reorder_executor::Executor;
///
/// let executor = Executor::builder().workers(2).build()?;
/// let lines = ["3", "1", "four", "1"];
/// // Parsed in parallel, summed up to the first that is wrong, in order.
/// let mut sum = 0;
/// for number in executor.stream(lines, str::parse::<u32>) {
///     let Ok(number) = number? else { break };
///     sum += number;
/// }
/// assert_eq!(sum, 4);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Progress
///
/// `next` blocks until the outcome of the next item is there, however many are behind it. If this
/// thread does not run items itself, it needs a worker that is not kept by other jobs.
///
/// # Panics
///
/// Dropping it passes on a panic in the `Drop` of a result that nobody took. Jobs, the
/// source and what they captured are caught.
#[must_use = "dropping a stream stops it"]
pub struct Ordered<'a, U: Send, E: Send = Infallible> {
    /// `None` once the stream has ended.
    consumer: Option<Consumer<ChunkRing<U, E>>>,
    /// What was taken from the ring last and not returned yet. While it is popped, back to front.
    chunk: Chunk<U, E>,
    spares: Arc<Spares<U, E>>,
    stream: Arc<dyn Stream + 'a>,
    hub: Arc<Hub>,
    /// What the workers know of it, to be withdrawn; a scope withdraws its own.
    published: Option<Arc<dyn Published>>,
    /// Whether the hub was closed before the workers could know of it.
    is_alone: bool,
    /// How many outcomes were taken from the ring, those of `chunk` included.
    taken: u64,
    /// When the producer side should look for room again.
    next_room: u64,
    limited: Option<Arc<Limited>>,
    /// Why the head was given up that comes next.
    given_up: Option<Stop>,
    /// Why the stream goes no further than what has been pulled, until that was told.
    cut: Option<Stop>,
    /// That of the task that polled last, as others get it.
    waker: Option<Arc<TaskWaker>>,
    /// When a task that polls has to look again.
    alarm: TaskAlarm,
    turns: Turns,
    /// That of the outcome that was taken last, if it is timed.
    timing: Option<Timing>,
}

/// What a consumer does about a head that is missing.
enum Missing {
    /// It waits, for so long at the most.
    Wait(Option<Instant>),
    /// Something came, or the head was given up.
    Look,
    /// There will be no more.
    End,
}

impl<'a, U: Send, E: Send> Ordered<'a, U, E> {
    pub(crate) fn new(
        outlet: Outlet<U, E>,
        stream: Arc<dyn Stream + 'a>,
        hub: Arc<Hub>,
        published: Option<Arc<dyn Published>>,
        is_alone: bool,
    ) -> Self {
        Ordered {
            next_room: half_window(&outlet.consumer),
            consumer: Some(outlet.consumer),
            chunk: Chunk::new(),
            spares: outlet.spares,
            taken: 0,
            stream,
            hub,
            published,
            is_alone,
            limited: outlet.limited,
            given_up: None,
            cut: None,
            waker: None,
            alarm: TaskAlarm::default(),
            turns: Turns::default(),
            timing: None,
        }
    }

    /// Whether nobody else may be there to run the items: the executor is gone, or its workers wait
    /// for each other.
    fn has_duty(&self) -> bool {
        self.is_alone || self.hub.is_stopping() || worker::is_worker_of(&self.hub)
    }

    fn may_help(&self) -> bool {
        // One that has deadlines to keep takes part in nothing that might keep it from them.
        self.has_duty()
            || self.limited.is_none() && self.hub.consumer_helps && self.stream.is_quick()
    }

    /// Runs items of the stream, if there are any to run and this thread should. `false` if it did not.
    fn help(&self, only_duty: bool) -> bool {
        if !(self.has_duty() || !only_duty && self.may_help()) {
            return false;
        }
        let helped = self.stream.help(&Turn::own(&self.hub), self.has_duty());
        self.hub.rest();
        helped
    }

    /// Blocks until there is a delivery, or the end.
    fn wait(&mut self) -> Option<Delivery<Chunk<U, E>>> {
        let backoff = Backoff::new();
        loop {
            match self.consumer.as_mut()?.try_next() {
                Ok(delivery) => return Some(delivery),
                Err(TryNextError::Pending) => {}
                Err(TryNextError::Ended) => return self.ended(),
                Err(_) => return None,
            }
            self.stream.made_room(&self.hub);
            match self.missing_before_help() {
                Some(Missing::Look) => continue,
                Some(Missing::End) => return None,
                Some(Missing::Wait(_)) | None => {}
            }
            if self.help(false) {
                continue;
            }
            if !backoff.is_completed() {
                // To be woken costs its waker as much as a small item, so it looks a few times first.
                backoff.snooze();
                continue;
            }
            let until = match self.missing() {
                Missing::Wait(until) => until,
                Missing::Look => continue,
                Missing::End => return None,
            };
            let helps = self.may_help();
            let (stream, hub, limited) = (&self.stream, &self.hub, &self.limited);
            let is_cut = self.cut.is_some();
            let has_work = || {
                // Asked again after the waker is in place: what changes later uses it.
                (helps || hub.is_stopping()) && stream.claimable()
                    || helps && stream.due().is_some_and(|at| until.is_none_or(|until| at < until))
                    || !is_cut && limited.as_ref().is_some_and(|it| it.course.cancelled().is_some())
            };
            match park::until_settled(self.consumer.as_mut()?, stream.consumer(), until, has_work) {
                Some(Ok(Some(delivery))) => return Some(delivery),
                Some(Ok(None)) => return self.ended(),
                Some(Err(_)) => return None,
                None => {}
            }
        }
    }

    /// All was pulled that there was.
    fn ended<T>(&mut self) -> Option<T> {
        self.cut = None;
        None
    }

    /// One that runs the items itself has deadlines to keep in between.
    fn missing_before_help(&mut self) -> Option<Missing> {
        self.has_duty().then(|| self.missing())
    }

    /// Gives the head up if it is time to.
    fn missing(&mut self) -> Missing {
        let (Some(limited), Some(consumer)) = (&self.limited, &mut self.consumer) else {
            return Missing::Wait(None);
        };
        let stop = match limited.course.give_up(limited.started(self.taken), limited.now()) {
            Ok(until) => {
                let due = self.has_duty().then(|| self.stream.due()).flatten();
                return Missing::Wait(until.into_iter().chain(due).min());
            }
            Err(stop) => stop,
        };
        if stop != Stop::ItemDeadline && self.cut.is_none() {
            self.cut = Some(stop);
            self.stream.cancel();
        }
        match consumer.evict_head() {
            Ok(()) => {
                self.given_up = Some(stop);
                self.stream.give_up(self.taken);
                trace::gave_up(self.stream.account().id(), self.taken, stop);
                if stop == Stop::ItemDeadline {
                    limited.course.fail();
                }
                Missing::Look
            }
            // Nothing more was pulled.
            Err(Reason::Unreserved) => Missing::End,
            // Its result is just coming.
            Err(_) => Missing::Wait(None),
        }
    }

    fn prepare_refill(&mut self) {
        // Before there is room again: as many chunks as fit the window are enough.
        self.spares.put(mem::take(&mut self.chunk));
        self.stream.delivered().set(self.taken);
        // The producer side is told of room once per half window, not at every chunk.
        if self.taken >= self.next_room {
            self.next_room = self.taken + self.consumer.as_ref().map_or(1, half_window);
            self.stream.made_room(&self.hub);
        }
    }

    /// Takes in what came, in order. `false` at the end.
    fn take_in(&mut self, delivery: Option<Delivery<Chunk<U, E>>>) -> bool {
        let given_up = self.given_up.take();
        self.chunk = match (delivery.map(|delivery| delivery.outcome), self.cut) {
            (Some(Ok(chunk)), _) => chunk,
            (Some(Err(gap)), _) => {
                Chunk::from([Err(given_up.map_or(Failure::Gap(gap), Failure::from))])
            }
            // What was not pulled any more must not be missing silently.
            (None, Some(stop)) if self.consumer.is_some() => {
                self.stop();
                Chunk::from([Err(stop.into())])
            }
            (None, _) => return false,
        };
        self.note_timing();
        self.taken += self.chunk.len() as u64;
        true
    }

    /// Where there are limits, a chunk has one outcome.
    fn note_timing(&mut self) {
        let Some(clock) = self.limited.as_ref().and_then(|limited| limited.clock.as_ref()) else {
            return;
        };
        let mut timing = clock.take(self.taken);
        self.turns.note(&mut timing);
        self.timing = Some(timing);
    }

    /// Takes the next chunk, after what was taken before was returned. `false` at the end.
    #[cold]
    fn refill(&mut self) -> bool {
        self.prepare_refill();
        let delivery = self.wait();
        self.take_in(delivery)
    }

    /// Why there will be no more, once that is the last outcome that was returned.
    pub(crate) fn cut(&self) -> Option<Stop> {
        self.cut.filter(|_| self.consumer.is_none())
    }

    pub(crate) fn is_done(&self) -> bool {
        self.stream.is_done()
    }

    /// How many results came after their item was given up, and were dropped, up to now.
    ///
    /// Always 0 for a stream without limits; see [`BatchBuilder::stream`](crate::BatchBuilder::stream).
    ///
    /// # Progress
    ///
    /// Wait-free: one load.
    pub fn late_results(&self) -> usize {
        self.limited.as_ref().map_or(0, |limited| limited.course.late())
    }

    /// When the item ran whose outcome was returned last, if that was to be
    /// [noted](crate::BatchBuilder::timed).
    ///
    /// ```
    /// # let executor = reorder_executor::Executor::builder().workers(1).build()?;
    /// let mut lengths = executor.batch(["a", "bc"]).timed().stream(|text, _| Ok::<_, ()>(text.len()))?;
    /// while let Some(Ok(length)) = lengths.next() {
    ///     let timing = lengths.timing().expect("it is timed");
    ///     println!("{length}: number {:?}, held up for {:?}", timing.completion_order(), timing.waited());
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn timing(&self) -> Option<Timing> {
        self.timing
    }

    /// What its requests met up to now; `None` for what was not made by [`BatchBuilder::requests`].
    ///
    /// # Progress
    ///
    /// Blocking: it takes a lock that is held for a few instructions.
    ///
    /// [`BatchBuilder::requests`]: crate::BatchBuilder::requests
    pub fn requests(&self) -> Option<RequestStats> {
        self.stream.requests()
    }

    fn stop(&mut self) {
        if let Some(published) = self.published.take() {
            self.hub.withdraw(&published);
        }
        self.stream.cancel();
        // Last, since this drops undelivered values, and their `Drop` may panic.
        drop((mem::take(&mut self.chunk), self.consumer.take()));
    }
}

fn half_window<U, E>(consumer: &Consumer<ChunkRing<U, E>>) -> u64 {
    (consumer.ring().capacity() as u64 / 2).max(1)
}

impl<U: Send, E: Send> Drop for Ordered<'_, U, E> {
    fn drop(&mut self) {
        self.stop();
    }
}

impl<U: Send, E: Send> fmt::Debug for Ordered<'_, U, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ordered").field("consumer", &self.consumer).finish_non_exhaustive()
    }
}
