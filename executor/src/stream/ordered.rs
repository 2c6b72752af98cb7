//! The consumer's handle of a stream.

use std::convert::Infallible;
use std::fmt;
use std::iter::FusedIterator;
use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use reorder_ring::{Consumer, Delivery, TryNextError};

use crate::io::{Chunk, ChunkRing, Spares};
use crate::limits::{LimitState, TaskTimer, Timing, Waiting};
use crate::outcome::{Failure, Outcome, Stop};
use crate::primitive::{Backoff, now, sleep};
use crate::scheduler::{Published, Scheduler, TimeSlice, park, worker};
use crate::stream::head_limits::{HeadAction, HeadLimits};
use crate::stream::work::{AnyStats, Helper, StreamWork};

pub(crate) mod observe;
mod task;

use observe::TimedOut;
use task::TaskWaker;

/// The result of a wait: a delivery, or `None` at the end.
type Waited<U, E> = Result<Option<Delivery<Chunk<U, E>>>, TimedOut>;

/// The consuming end of a stream's ring.
pub(crate) struct ConsumerEnd<U, E> {
    pub(crate) consumer: Consumer<ChunkRing<U, E>>,
    pub(crate) spares: Arc<Spares<U, E>>,
    /// The limits of the call. They are empty if the stream has none.
    pub(crate) call: Arc<LimitState>,
    pub(crate) limits: Option<Arc<LimitState>>,
    /// The number of items that the source promised.
    pub(crate) size_hint: (usize, Option<usize>),
}

/// The outcomes of a stream's items, in the order of its source. For a
/// [queue](crate::Executor::queue), in the order of the sends.
///
/// While the next outcome is missing, the consumer's thread may run items itself. It does so in two
/// cases:
///
/// * Items were measured to be cheap, and the source promises more by its `size_hint`. See
///   [`Builder::consumer_helps`](crate::Builder::consumer_helps).
/// * The consumer is a worker of this or another executor, or the executor was dropped.
///
/// For many small outcomes, `for_each`, `fold` and `count` are faster than a `for` loop, also
/// behind `map` or `filter`.
///
/// Dropping the handle stops the stream, and does not wait. The source is pulled no further, and is
/// dropped. Results that come later are dropped on the thread of their job. The captures of the job
/// are dropped after the last job has run.
///
/// The handle may be forgotten with `mem::forget`. The stream then fills its window, and stops.
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
/// `next` is the method of `Iterator`: it blocks the thread until the outcome of the next item is
/// there, even if later outcomes are there before. If this thread runs no items itself, it needs a
/// worker that is free of other jobs.
///
/// A task of an async runtime should use [`next_async`](Ordered::next_async) or
/// [`into_stream`](Ordered::into_stream) instead. If `next` blocks the only thread of a runtime
/// that is to run the stream's futures or its source, it never returns.
///
/// # Panics
///
/// With the feature `tokio`, `next` panics in a task of a tokio runtime. It does not if it took the
/// outcome from the workers together with an earlier one, which only streams without limits do.
///
/// Dropping the handle passes on the first panic in the `Drop` of a result that was not taken,
/// unless the thread unwinds already. Other such panics are caught. So are panics of jobs, of the
/// source and of their captures.
#[must_use = "dropping a stream stops it"]
pub struct Ordered<'a, U: Send, E: Send = Infallible> {
    /// `None` once the stream has ended.
    consumer: Option<Consumer<ChunkRing<U, E>>>,
    /// The outcomes that were taken from the ring and not returned yet. While `next` pops them,
    /// they are in reverse order.
    chunk: Chunk<U, E>,
    spares: Arc<Spares<U, E>>,
    stream: Arc<dyn StreamWork + 'a>,
    scheduler: Arc<Scheduler>,
    /// The stream as the workers know it, to be withdrawn. A scope withdraws its own streams.
    published: Option<Arc<dyn Published>>,
    /// The number of the call. `None` if the scheduler was closed before the workers could know of
    /// the stream.
    id: Option<u64>,
    /// The number of items that the source promised.
    size_hint: (usize, Option<usize>),
    /// The number of outcomes taken from the ring, those of `chunk` included.
    taken: u64,
    /// The index of the outcome in `chunk`, if the stream orders outcomes by key.
    keyed_index: u64,
    /// Knows whether the outcomes are unwanted.
    call: Arc<LimitState>,
    limits: Option<HeadLimits>,
    /// The waker of the task that polled last, as other threads get it.
    waker: Option<Arc<TaskWaker>>,
    /// The timer of a task that has to look again.
    timer: TaskTimer,
}

impl<'a, U: Send, E: Send> Ordered<'a, U, E> {
    pub(crate) fn new(
        consumer_end: ConsumerEnd<U, E>,
        stream: Arc<dyn StreamWork + 'a>,
        scheduler: &Arc<Scheduler>,
        published: Option<Arc<dyn Published>>,
        id: Option<u64>,
    ) -> Self {
        let ConsumerEnd { consumer, spares, call, limits, size_hint } = consumer_end;
        Ordered {
            consumer: Some(consumer),
            chunk: Chunk::new(),
            spares,
            taken: 0,
            keyed_index: 0,
            stream,
            scheduler: Arc::clone(scheduler),
            published,
            id,
            size_hint,
            call,
            limits: limits.map(HeadLimits::new),
            waker: None,
            timer: TaskTimer::default(),
        }
    }

    /// Returns `true` if no other thread may be there to run the items.
    fn must_run(&self) -> bool {
        self.helper() != Helper::Volunteer
    }

    fn helper(&self) -> Helper {
        if self.id.is_none() || self.scheduler.is_stopping() {
            Helper::Alone
        } else if worker::is_worker() {
            Helper::Worker
        } else {
            Helper::Volunteer
        }
    }

    fn may_help(&self) -> bool {
        // A consumer with deadlines runs nothing that might keep it from them.
        self.must_run()
            || self.limits.is_none() && self.scheduler.consumer_helps && self.stream.is_cheap()
    }

    /// Runs a chunk of the stream's items if this thread may. Returns `false` if it did not.
    fn help(&self, only_if_needed: bool) -> bool {
        if !(self.must_run() || !only_if_needed && self.may_help()) {
            return false;
        }
        let slice = TimeSlice::own(&self.scheduler, self.stream.fair_share().gate());
        let helped = slice.enter() && {
            let _span = self.stream.fair_share().span.enter();
            self.stream.help(&slice, self.helper())
        };
        drop(slice);
        self.scheduler.after_run();
        helped
    }

    /// Blocks until there is a delivery, or until the deadline. Returns `None` at the end.
    fn wait(&mut self, deadline: Option<Instant>) -> Waited<U, E> {
        park::assert_may_block();
        let (backoff, mut waiting) = (Backoff::new(), None);
        let mut is_late = false;
        loop {
            let Some(consumer) = &mut self.consumer else { return Ok(None) };
            match consumer.try_next() {
                Ok(delivery) => return Ok(Some(delivery)),
                Err(TryNextError::Pending) => {}
                Err(TryNextError::Ended) => return Ok(self.source_ended()),
                Err(_) => return Ok(None),
            }
            if is_late {
                return Err(TimedOut);
            }
            waiting.get_or_insert_with(|| self.waiting());
            // A consumer with a deadline runs nothing that might keep it from that.
            let action = self.work_for_head(deadline.is_some());
            // Then it looks at the head once more.
            is_late = deadline.is_some_and(|at| at <= now());
            let until = match action {
                HeadAction::Wait(until) => until.into_iter().chain(deadline).min(),
                HeadAction::LookAgain => continue,
                HeadAction::End => return Ok(None),
            };
            if is_late {
                continue;
            }
            if !backoff.is_completed() {
                // Waking this thread costs its waker as much as a small item, so it looks a few
                // times first.
                backoff.snooze();
                continue;
            }
            // The role comes first. If the executor stops between the two, the thread looks again.
            let helper = self.helper();
            let helps = if deadline.is_some() { self.must_run() } else { self.may_help() };
            let (stream, scheduler, limits) = (&self.stream, &self.scheduler, &self.limits);
            let is_open = || stream.fair_share().is_open();
            let is_due = |at: Instant| until.is_none_or(|until| at < until);
            let has_work = || {
                // Asked again after the waker is in place: what changes later uses it. A thread
                // that is left alone looks at its role again: it has to keep the timers as well.
                let is_left_alone = helper != Helper::Alone && scheduler.is_stopping();
                is_left_alone
                    || helps && is_open() && stream.helps(helper)
                    || helps && stream.next_due().is_some_and(is_due)
                    || limits.as_ref().is_some_and(HeadLimits::is_newly_cancelled)
            };
            let Some(consumer) = &mut self.consumer else { return Ok(None) };
            let gate = stream.fair_share().gate();
            match park::wait_for_head(consumer, stream.consumer(), gate, until, has_work) {
                Some(Ok(Some(delivery))) => return Ok(Some(delivery)),
                Some(Ok(None)) => return Ok(self.source_ended()),
                Some(Err(_)) => return Ok(None),
                None => {}
            }
        }
    }

    /// Notes that all items of the source were taken.
    fn source_ended<T>(&mut self) -> Option<T> {
        if let Some(limits) = &mut self.limits {
            limits.ended_by = None;
        }
        None
    }

    /// Runs items for the missing head if this thread may, and returns its next action.
    fn work_for_head(&mut self, only_if_needed: bool) -> HeadAction {
        if self.must_run() {
            // A consumer that runs the items itself has deadlines to keep in between.
            let action = self.check_head();
            if !matches!(action, HeadAction::Wait(_)) {
                return action;
            }
        }
        if self.help(only_if_needed) { HeadAction::LookAgain } else { self.check_head() }
    }

    /// Skips the missing head if its time is up.
    fn check_head(&mut self) -> HeadAction {
        let must_run = self.must_run();
        let (Some(limits), Some(consumer)) = (&mut self.limits, &mut self.consumer) else {
            return HeadAction::Wait(None);
        };
        let due = || must_run.then(|| self.stream.next_due()).flatten();
        limits.check_head(self.taken, consumer, &*self.stream, due)
    }

    /// Gives back the chunk, whose outcomes were all returned, and tells the pullers of its space.
    #[inline(never)]
    fn release_chunk(&mut self) {
        // Before there is space again: as many chunks as fit the window are enough.
        self.spares.put(mem::take(&mut self.chunk));
        self.stream.delivered().set(self.taken);
        self.stream.notify_space(&self.scheduler);
        self.stream.tell_progress();
    }

    /// Stores the outcomes of a delivery, in order. Returns `false` at the end.
    fn accept(&mut self, delivery: Option<Delivery<Chunk<U, E>>>) -> bool {
        let reasons = |limits: &mut HeadLimits| (limits.skipped.take(), limits.ended_by);
        let (skipped, ended_by) = self.limits.as_mut().map_or((None, None), reasons);
        let failure = match (delivery.map(|delivery| delivery.outcome), ended_by) {
            (Some(Ok(chunk)), _) => {
                self.keyed_index = chunk.index;
                self.chunk = chunk;
                self.chunk.load_lines();
                None
            }
            (Some(Err(_)), _) => {
                let (stop, attempts) =
                    skipped.expect("only this consumer leaves gaps, by skipping items");
                Some(Failure::stopped(stop, attempts, None))
            }
            // Items that were not pulled any more must not be missing silently.
            (None, Some(stop)) if self.consumer.is_some() => {
                self.stop();
                Some(Failure::not_pulled(stop))
            }
            (None, _) => return false,
        };
        if let Some(failure) = failure {
            self.stream.delivered().note_failed(1);
            // A chunk that is used again: the completer of a skipped item brings none.
            self.chunk = self.spares.take(1);
            self.chunk.push(Err(failure));
            // All items that were pulled had outcomes before.
            self.keyed_index = self.taken;
        }
        if let Some(limits) = &mut self.limits {
            // With limits, a chunk has one outcome.
            let is_by_key = self.stream.is_by_key();
            let index = if is_by_key { self.keyed_index } else { self.taken };
            limits.note_taken(index, self.chunk.iter().next());
        }
        self.taken += self.chunk.len() as u64;
        true
    }

    /// Takes the next chunk, after the last one was returned. Returns `false` at the end.
    #[cold]
    fn refill(&mut self) -> bool {
        let delivery = self.wait(None).expect("there is no deadline");
        self.accept(delivery)
    }

    /// Returns why the stream ended early, once the last outcome was returned.
    pub(crate) fn ended_by(&self) -> Option<Stop> {
        self.limits.as_ref().filter(|_| self.consumer.is_none())?.ended_by
    }

    /// Returns the index of the item whose failure ended the stream, if it fails fast.
    pub(crate) fn cause(&self) -> Option<u64> {
        self.limits.as_ref()?.state.policy.cause()
    }

    /// Returns the index of the outcome that was returned last, if the stream orders outcomes by
    /// key.
    pub(crate) fn keyed_index(&self) -> u64 {
        self.keyed_index
    }

    /// Notes that this thread waits for outcomes, if it does so in a job, until the answer is
    /// dropped.
    pub(crate) fn waiting(&self) -> Option<Waiting> {
        Waiting::begin(&self.call)
    }

    pub(crate) fn is_done(&self) -> bool {
        self.stream.is_done()
    }

    /// Waits until no job of the stream runs and none will start, or until `within` has passed.
    /// Returns `true` if so.
    ///
    /// A stream that was cancelled, or whose deadline has passed, starts no job. Its outcomes come
    /// immediately, while jobs that had started may still run. This call waits for those jobs. Any
    /// other stream has no job left when its source has ended and all items have run.
    ///
    /// ```
    /// use std::convert::Infallible;
    /// use std::time::Duration;
    /// use reorder_executor::{CancellationToken, Executor};
    ///
    /// let executor = Executor::builder().workers(1).build()?;
    /// let token = CancellationToken::new();
    /// let batch = executor.batch(0..).cancelled_by(&token);
    /// let mut stream = batch.stream(|n, _| Ok::<_, Infallible>(n))?;
    /// assert!(stream.next().is_some());
    /// token.cancel();
    /// assert!(stream.until_idle(Some(Duration::from_secs(60))));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Progress
    ///
    /// Blocking: the thread checks at growing intervals, of up to 10 ms. It takes no outcomes and
    /// runs no items. Pass `within` if a job may never end, or the window may be full.
    pub fn until_idle(&mut self, within: Option<Duration>) -> bool {
        // An instant that the clock cannot represent is no deadline.
        let deadline = within.and_then(|within| now().checked_add(within));
        let mut interval = Duration::from_micros(50);
        let _waiting = self.waiting();
        while !self.is_done() {
            let left = deadline.map_or(interval, |at| at.saturating_duration_since(now()));
            if left.is_zero() {
                return false;
            }
            sleep(interval.min(left));
            interval = (interval * 2).min(Duration::from_millis(10));
        }
        true
    }

    /// Returns the number of results so far that were dropped because they came too late: after a
    /// deadline, or after the consumer gave up on their item.
    ///
    /// Always 0 for a stream without limits; see
    /// [`BatchBuilder::stream`](crate::BatchBuilder::stream).
    ///
    /// # Progress
    ///
    /// Wait-free: one load.
    pub fn late_results(&self) -> usize {
        self.limits.as_ref().map_or(0, |limits| limits.state.policy.late())
    }

    /// Returns when the item ran whose outcome was returned or peeked at last, if the stream is
    /// [timed](crate::BatchBuilder::timed).
    ///
    /// ```
    /// use std::convert::Infallible;
    /// # let executor = reorder_executor::Executor::builder().workers(1).build()?;
    /// let batch = executor.batch(["a", "bc"]).timed();
    /// let mut lengths = batch.stream(|text, _| Ok::<_, Infallible>(text.len()))?;
    /// while let Some(Ok(length)) = lengths.next() {
    ///     let timing = lengths.timing().expect("it is timed");
    ///     let (order, waited) = (timing.completion_order(), timing.waited());
    ///     println!("{length}: number {order:?}, held up for {waited:?}");
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn timing(&self) -> Option<Timing> {
        self.limits.as_ref().and_then(|limits| limits.timing)
    }

    /// Returns the number of attempts at the item whose outcome was returned or peeked at last, as
    /// [`Failure::attempts`] does for a failure. Returns `None` before the first outcome, or if no
    /// [dispatcher](crate::dispatch) runs the stream.
    ///
    /// # Progress
    ///
    /// Wait-free.
    pub fn attempts(&self) -> Option<u32> {
        self.limits.as_ref().and_then(|limits| limits.attempts)
    }

    /// Returns the current [statistics](crate::dispatch::Dispatch::Stats) of the
    /// [dispatcher](crate::dispatch) that runs the stream. Returns `None` if there is none, or its
    /// statistics are of another type.
    ///
    /// # Progress
    ///
    /// As [`Dispatch::stats`](crate::dispatch::Dispatch::stats).
    pub fn stats<T: 'static>(&self) -> Option<T> {
        self.any_stats()?.into_any().downcast().ok().map(|stats| *stats)
    }

    /// Returns the statistics of the dispatcher, whatever their type is.
    pub(crate) fn any_stats(&self) -> Option<Box<dyn AnyStats>> {
        self.stream.stats()
    }

    /// Returns the maximum number of jobs that ran at the same time, if a dispatcher counts it.
    pub(crate) fn peak_concurrency(&self) -> Option<usize> {
        self.stream.peak_concurrency()
    }

    fn stop(&mut self) {
        if let Some(published) = self.published.take() {
            self.scheduler.withdraw(&published);
        }
        self.call.policy.let_go();
        self.stream.cancel();
        // Last, since this drops undelivered values, and their `Drop` may panic.
        drop((mem::take(&mut self.chunk), self.consumer.take()));
    }
}

impl<U: Send, E: Send> Iterator for Ordered<'_, U, E> {
    type Item = Outcome<U, E>;

    #[inline]
    fn next(&mut self) -> Option<Outcome<U, E>> {
        loop {
            if let Some(outcome) = self.chunk.pop() {
                // The space is there when the last outcome is returned, not when the next is asked
                // for: the caller may do something else first.
                if self.chunk.is_empty() {
                    self.release_chunk();
                }
                return Some(outcome);
            }
            if !self.refill() {
                self.stop();
                return None;
            }
            self.chunk.reverse();
        }
    }

    /// Returns the number of outcomes that are left. It is exact if the source said how many items
    /// it has.
    ///
    /// If the source panics, fewer outcomes come. If its `Drop` panics, one more may come. A stream
    /// with limits may end early, and is never exact.
    fn size_hint(&self) -> (usize, Option<usize>) {
        self.left()
    }

    /// Does the same as calling `next` until the end, by loops over whole chunks, which keep their
    /// place in registers.
    #[inline]
    fn fold<B, F>(mut self, init: B, mut f: F) -> B
    where
        F: FnMut(B, Outcome<U, E>) -> B,
    {
        let mut folded = init;
        // The outcomes that `next` left are in reverse order.
        self.chunk.reverse();
        loop {
            folded = self.chunk.take_all().fold(folded, &mut f);
            self.release_chunk();
            if !self.refill() {
                return folded;
            }
        }
    }
}

impl<U: Send, E: Send> FusedIterator for Ordered<'_, U, E> {}

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
