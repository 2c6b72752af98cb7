//! The call of a dispatcher, as the dispatcher sees it.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Weak};
use std::task::Waker;
use std::time::Instant;

use crate::dispatch::dispatcher::{Dispatch, Due, ItemTicket};
use crate::dispatch::job::{JobContext, JobParts};
use crate::dispatch::pull::SourceSlot;
use crate::dispatch::setup::Setup;
use crate::dispatch::source::SourceState;
use crate::dispatch::waker::CallWaker;
use crate::io::OrderedOutput;
use crate::limits::{CancellationToken, LimitState, SharedTimer};
use crate::observe::CallSpan;
use crate::outcome::{Outcome, Stop};
use crate::primitive::{AtomicBool, Mutex, lock, now};
use crate::scheduler::{FairShare, Rest, RunTime, Scheduler};
use crate::unwind::{DiscardOnDrop, catch_panic};

/// A call whose items a [dispatcher](Dispatch) runs. The [module](crate::dispatch) has an example.
///
/// Any thread may use it, also after the handle of the call was dropped.
pub struct Call<D: Dispatch> {
    pub(super) me: Weak<Self>,
    pub(super) dispatch: DiscardOnDrop<D>,
    pub(super) source: SourceSlot<D>,
    pub(super) source_state: Arc<SourceState>,
    pub(super) output: OrderedOutput<D::Value, D::Error>,
    pub(super) limits: Arc<LimitState>,
    pub(super) fair_share: FairShare,
    /// The run time of several calls that count as one, if this is one of them.
    pub(super) runtime: Option<Arc<RunTime>>,
    /// `true` if the consumer runs items, because no other thread may be there to run them.
    pub(super) consumer_must_run: AtomicBool,
    pub(super) timer: SharedTimer,
    /// Ends when the call has something to do, or another thread looks at it.
    pub(super) rest: Arc<Rest>,
    /// Held by the thread that looks whether something is due.
    looking: Mutex<()>,
    pub(super) waker: Arc<CallWaker>,
    pub(super) scheduler: Arc<Scheduler>,
    job_parts: Arc<JobParts>,
    is_closed: AtomicBool,
    /// `true` after a panic of the dispatcher, which is not asked again.
    has_panicked: AtomicBool,
    /// Cancelled after such a panic.
    broken: CancellationToken,
    /// The payload of that panic, which is dropped with the call.
    panic: DiscardOnDrop<Mutex<Option<Box<dyn Any + Send>>>>,
}

impl<D: Dispatch> Call<D> {
    pub(super) fn new(
        setup: Setup,
        dispatch: D,
        source: SourceSlot<D>,
        output: OrderedOutput<D::Value, D::Error>,
        broken: CancellationToken,
    ) -> Arc<Self> {
        let Setup { waker, rest, limits, scheduler, source_state, runtime, .. } = setup;
        let span = CallSpan::dispatch();
        let (job_limits, job_scheduler) = (Arc::clone(&limits), Arc::clone(&scheduler));
        let job_parts =
            JobParts { limits: job_limits, scheduler: job_scheduler, span: span.clone() };
        Arc::new_cyclic(|me| Call {
            me: me.clone(),
            dispatch: DiscardOnDrop::new(dispatch),
            source,
            source_state,
            output,
            limits,
            fair_share: FairShare::new(None, span),
            runtime,
            consumer_must_run: AtomicBool::new(false),
            timer: SharedTimer::default(),
            rest,
            looking: Mutex::new(()),
            waker,
            scheduler,
            job_parts: Arc::new(job_parts),
            is_closed: AtomicBool::new(false),
            has_panicked: AtomicBool::new(false),
            broken,
            panic: DiscardOnDrop::new(Mutex::new(None)),
        })
    }

    /// Asks the dispatcher. If it panics, or has panicked before, ends the call and returns `None`.
    pub(super) fn ask<R>(&self, f: impl FnOnce(&D) -> R) -> Option<R> {
        let answer = self.ask_under_lock(f);
        self.break_off();
        answer
    }

    /// Asks the dispatcher, while the thread holds a lock of the call. If the dispatcher panics, or
    /// has panicked before, returns `None`. Afterwards, the thread calls `break_off` without the
    /// lock.
    pub(super) fn ask_under_lock<R>(&self, f: impl FnOnce(&D) -> R) -> Option<R> {
        if self.has_panicked() {
            return None;
        }
        let answer = catch_unwind(AssertUnwindSafe(|| f(&self.dispatch)));
        let payload = match answer {
            Ok(answer) => return Some(answer),
            Err(payload) => payload,
        };
        // Not dropped here, because of locks. A second payload is leaked.
        let other = lock(&self.panic).replace(payload);
        std::mem::forget(other);
        // ORDERING: dispatch:panic: Relaxed; a thread that misses it asks a dispatcher that has
        // panicked, and catches its panics as well.
        self.has_panicked.store(true, Relaxed);
        None
    }

    fn has_panicked(&self) -> bool {
        // ORDERING: dispatch:has_panicked: Relaxed; as `dispatch:panic`.
        self.has_panicked.load(Relaxed)
    }

    /// Ends the call if its dispatcher has panicked. This runs wakers.
    pub(super) fn break_off(&self) {
        if self.has_panicked() && !self.broken.is_cancelled() {
            self.broken.cancel();
        }
    }

    /// Asks whether something is due. If not, the call rests, and its timer or an event ends the
    /// rest.
    pub(super) fn is_due(&self) -> bool {
        let mut wakers = Vec::new();
        let looking = lock(&self.looking);
        let is_due = self.rest.look(|| {
            let due = self.ask_under_lock(|dispatch| dispatch.due(self, &mut wakers));
            match due.unwrap_or(Due::NEVER) {
                Due::Now => true,
                Due::Later { at, expected } => {
                    let now = now();
                    let is_lost = at.is_some_and(|at| at <= now || self.set_timer(at, now));
                    is_lost
                        || expected.is_some() && self.ask_under_lock(D::is_timer_lost) == Some(true)
                }
            }
        });
        drop(looking);
        self.break_off();
        wake_all(wakers);
        is_due
    }

    /// Arms the timer. Returns `true` if the thread has to look again, because the timer is lost.
    fn set_timer(&self, at: Instant, now: Instant) -> bool {
        self.timer.set(at, now, || self.rest.clone().into())
    }

    pub(super) fn is_timer_lost(&self) -> bool {
        self.ask(D::is_timer_lost).unwrap_or(false)
    }

    /// Closes the call for items that have not started.
    pub(super) fn close(&self, stop: Option<Stop>) {
        // ORDERING: dispatch:close: Relaxed; the lock of the dispatcher orders it.
        self.is_closed.store(true, Relaxed);
        self.ask(|dispatch| dispatch.close(self, stop));
    }
}

/// Uses wakers, without a lock.
pub(super) fn wake_all(wakers: Vec<Waker>) {
    wakers.into_iter().for_each(|waker| catch_panic(|| waker.wake()));
}

/// Actions of the dispatcher.
impl<D: Dispatch> Call<D> {
    /// Returns the dispatcher.
    pub fn dispatch(&self) -> &D {
        &self.dispatch
    }

    /// Completes an item with its outcome. If the item has one already, or the consumer has given
    /// it up, the outcome is counted and dropped. So is the outcome for a ticket of another call.
    ///
    /// # Progress
    ///
    /// It wakes the consumer, and may run the waker of its task. It blocks only for a moment, on
    /// locks that are held for a few instructions. Call it without a lock of your own.
    pub fn complete(&self, ticket: ItemTicket, outcome: Outcome<D::Value, D::Error>) {
        if self.output.complete_one(ticket.0, outcome) {
            self.start_opened();
        }
    }

    /// Notes that the first job of an item starts now. From then on, its time counts.
    ///
    /// Call it under the lock under which [`skip`](Dispatch::skip) looks for the item. So a
    /// consumer that skips the item finds it either started, or not yet. Before the job runs, call
    /// [`start_time`](Call::start_time) without the lock.
    ///
    /// # Progress
    ///
    /// Wait-free.
    pub fn note_start(&self, ticket: ItemTicket, at: Instant) {
        self.limits.start(ticket.index(), Some(at));
    }

    /// Starts the time of an item whose outcome is in order by key, if the batch limits the time of
    /// an item. Also gives up the items whose time is up.
    ///
    /// # Progress
    ///
    /// As [`complete`](Call::complete).
    pub fn start_time(&self, ticket: ItemTicket) {
        if self.output.note_start(ticket.0) {
            self.give_up_overdue_items();
        }
    }

    /// Notes when an item ran, and the number of its jobs. Call it before the item is completed.
    ///
    /// # Progress
    ///
    /// Wait-free, unless the batch is [timed](crate::BatchBuilder::timed): then it may take a lock
    /// that is held for a few instructions.
    pub fn note_end(&self, ticket: ItemTicket, started: Option<Instant>, attempts: u32) {
        if let Some(log) = &self.limits.timing_log {
            log.note(ticket.index(), started, Some(now()));
        }
        self.limits.note_attempts(ticket.index(), attempts);
    }

    /// Returns a job at an item whose first job started at `started`. `timeout` is the end of the
    /// job's own time.
    pub fn job(
        &self,
        ticket: ItemTicket,
        started: Instant,
        timeout: Option<Instant>,
    ) -> JobContext {
        JobContext { call: Arc::clone(&self.job_parts), index: ticket.index(), started, timeout }
    }

    /// Notes that a job has ended, so that a shutdown looks whether the call is done.
    ///
    /// # Progress
    ///
    /// Wait-free, unless the executor shuts down.
    pub fn job_ended(&self) {
        self.scheduler.after_run();
    }

    /// Notifies the threads that may have to act on a change of the dispatcher: workers, the timer,
    /// and the consumer.
    ///
    /// # Progress
    ///
    /// As [`complete`](Call::complete).
    pub fn changed(&self) {
        self.look();
        // ORDERING: dispatch:consumer_must_run: Relaxed; both threads have taken the lock of the
        // dispatcher, which orders it.
        if self.consumer_must_run.load(Relaxed) {
            self.output.wake_consumer();
        }
    }

    /// Notifies the workers if something is due now, and arms the timer if something will be.
    ///
    /// # Progress
    ///
    /// As [`complete`](Call::complete).
    pub fn look(&self) {
        if self.is_due() {
            self.scheduler.idle.notify_work();
        }
    }

    /// Returns the maximum number of items that were pulled and not taken by the consumer.
    ///
    /// # Progress
    ///
    /// Wait-free.
    pub fn window(&self) -> usize {
        self.output.window()
    }

    /// Returns the number of outcomes that the consumer has taken.
    ///
    /// # Progress
    ///
    /// Wait-free.
    pub fn delivered(&self) -> u64 {
        self.output.delivered.get()
    }

    /// Returns `true` if the window has space for one more item.
    ///
    /// # Progress
    ///
    /// Wait-free.
    pub fn has_space(&self) -> bool {
        self.pulled().saturating_sub(self.delivered()) < self.window() as u64
    }

    /// Returns `true` if [`Dispatch::close`] was called.
    ///
    /// # Progress
    ///
    /// Wait-free.
    pub fn is_closed(&self) -> bool {
        // ORDERING: dispatch:is_closed: Relaxed; as `dispatch:close`.
        self.is_closed.load(Relaxed)
    }
}

/// The limits of the call.
impl<D: Dispatch> Call<D> {
    /// Returns why no item starts any more, or `None` if items may start.
    ///
    /// # Progress
    ///
    /// Wait-free.
    pub fn stop(&self) -> Option<Stop> {
        self.output.ended_by()
    }

    /// Returns `true` if no item starts any more. Jobs that run may go on.
    ///
    /// # Progress
    ///
    /// Wait-free.
    pub fn is_stopped(&self) -> bool {
        self.stop().is_some()
    }

    /// Returns `true` if the results of running jobs do not count any more.
    ///
    /// # Progress
    ///
    /// Wait-free.
    pub fn is_aborted(&self) -> bool {
        self.output.is_aborted()
    }

    /// Returns `true` if no caller can receive a result any more.
    ///
    /// # Progress
    ///
    /// Wait-free.
    pub fn is_over(&self) -> bool {
        self.is_aborted() || self.is_closed() && self.closing().is_none()
    }

    /// Returns why the call was cancelled, if it was: by a token, a failed item, or a shutdown.
    ///
    /// # Progress
    ///
    /// Wait-free.
    pub fn cancelled(&self) -> Option<Stop> {
        self.limits.policy.cancelled()
    }

    /// Returns why no item starts, although running jobs go on: a shutdown lets them finish.
    ///
    /// # Progress
    ///
    /// Wait-free.
    pub fn closing(&self) -> Option<Stop> {
        self.limits.policy.closing()
    }

    /// Returns the deadline that an item has exceeded, if its first job started at `started`.
    ///
    /// # Progress
    ///
    /// Wait-free.
    pub fn overdue(&self, started: Option<Instant>, now: Instant) -> Option<Stop> {
        self.limits.policy.overdue(started, Some(now))
    }

    /// Returns why an error of this item is a reaction to the end of the call, if the call fails
    /// fast and another item failed before.
    ///
    /// # Progress
    ///
    /// Wait-free.
    pub fn reaction(&self, index: u64) -> Option<Stop> {
        self.limits.policy.reaction(index)
    }

    /// Returns the deadline of the batch.
    ///
    /// # Progress
    ///
    /// Wait-free.
    pub fn deadline(&self) -> Option<Instant> {
        self.limits.policy.settings.deadline
    }

    /// Counts a result that does not count, in the
    /// [late results](crate::BatchReport::late_results).
    ///
    /// # Progress
    ///
    /// Wait-free.
    pub fn count_late(&self) {
        self.limits.policy.count_late();
    }
}

impl<D: Dispatch> fmt::Debug for Call<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("call", &self.fair_share.id()).finish_non_exhaustive()
    }
}
