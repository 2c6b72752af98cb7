//! The limits of a stream, as its consumer applies them.
//!
//! A consumer does not wait for an item whose time is up. It *skips* the head: it evicts the head's
//! position from the ring, and the head's outcome is a failure. If a limit ends the whole stream,
//! the consumer skips each item that was pulled. One last failure then stands for all items that
//! were not.

use std::sync::Arc;
use std::time::{Duration, Instant};

use reorder_ring::{Consumer, HeadState, Reason};

use crate::io::ChunkRing;
use crate::limits::{CompletionFrontier, LimitState, Timing};
use crate::outcome::{Outcome, Stop};
use crate::primitive;
use crate::stream::work::{Skip, StreamWork};

/// The maximum delay of the consumer's next look at a head that has not started, or that another
/// thread is about to end.
const LATEST_LOOK: Duration = Duration::from_millis(10);

/// The reaction of a consumer to a missing head.
pub(crate) enum HeadAction {
    /// It waits, until the given instant if there is one.
    Wait(Option<Instant>),
    /// It looks at the head again: an outcome came, or the head was skipped.
    LookAgain,
    /// It ends: no more items will come.
    End,
}

fn note_skipped(stream: &dyn StreamWork, index: u64, stop: Stop) {
    let fair_share = stream.fair_share();
    fair_share.span.skipped(fair_share.id(), index, &stop);
}

/// The limits of a stream, as its consumer applies them.
pub(crate) struct HeadLimits {
    pub(super) state: Arc<LimitState>,
    /// The reason why the consumer skipped the head that it takes next, and the number of attempts
    /// at the head.
    pub(super) skipped: Option<(Stop, u32)>,
    /// The reason why nothing more is pulled. It becomes `None` again if the source has ended by
    /// itself.
    pub(super) ended_by: Option<Stop>,
    frontier: CompletionFrontier,
    /// The timing of the outcome that was taken last, if the stream is timed.
    pub(super) timing: Option<Timing>,
    /// The number of attempts at the item whose outcome was taken last, if items may have several.
    pub(super) attempts: Option<u32>,
    /// The index of a head that has not started, and since when the consumer waits for it.
    unstarted: Option<(u64, Instant)>,
}

impl HeadLimits {
    pub(crate) fn new(state: Arc<LimitState>) -> HeadLimits {
        HeadLimits {
            state,
            skipped: None,
            ended_by: None,
            frontier: CompletionFrontier::default(),
            timing: None,
            attempts: None,
            unstarted: None,
        }
    }

    /// Skips the missing head at `index` if its time is up. If not, the
    /// consumer also looks again at the instant that `due` returns.
    pub(crate) fn check_head<U, E>(
        &mut self,
        index: u64,
        consumer: &mut Consumer<ChunkRing<U, E>>,
        stream: &dyn StreamWork,
        due: impl FnOnce() -> Option<Instant>,
    ) -> HeadAction {
        let state = Arc::clone(&self.state);
        let overdue = stream.give_up_overdue();
        for &index in &overdue.given_up {
            let timeout = state.policy.settings.item_timeout.unwrap_or_default();
            note_skipped(stream, index, Stop::ItemDeadline(timeout));
        }
        if !overdue.given_up.is_empty() {
            return HeadAction::LookAgain;
        }
        let (policy, started, now) = (&state.policy, state.started(index), state.now());
        let stop = match policy.give_up(started, now) {
            Ok(until) => {
                if let Some(stop) = policy.closing().filter(|_| self.ended_by.is_none()) {
                    self.ended_by = Some(stop);
                    stream.stop(stop);
                    return HeadAction::LookAgain;
                }
                let is_unreserved = || consumer.head_of_line().state == HeadState::Unreserved;
                // By key, the ring ends after the last outcome.
                if self.ended_by.is_some() && !stream.is_by_key() && is_unreserved() {
                    return HeadAction::End;
                }
                let until = match now.filter(|_| started.is_none()) {
                    Some(now) => self.look_again(index, now, until),
                    None => until,
                };
                let times = until.into_iter().chain(due()).chain(overdue.next);
                return HeadAction::Wait(times.min());
            }
            Err(stop) => stop,
        };
        let is_of_item = matches!(stop, Stop::ItemDeadline(_));
        let has_ended = self.ended_by.is_some();
        if !is_of_item && !has_ended {
            self.ended_by = Some(stop);
            stream.stop(stop);
        }
        match stream.skip(index, stop) {
            Skip::Evict => {}
            Skip::Stopped(any) if any || !has_ended => return HeadAction::LookAgain,
            // The outcomes have their positions. Other threads are about to complete them.
            Skip::Stopped(_) => return HeadAction::Wait(None),
            Skip::Completed => {
                note_skipped(stream, index, stop);
                return HeadAction::LookAgain;
            }
            // Nothing tells the consumer if the item gets another attempt.
            Skip::Ending => return HeadAction::Wait(Some(primitive::now() + LATEST_LOOK)),
        }
        match consumer.evict_head() {
            Ok(()) => {
                // An item of a dispatcher may have started since, but not after the call of `skip`.
                self.skipped = Some((stop, state.started(index).is_some().into()));
                note_skipped(stream, index, stop);
                if is_of_item {
                    policy.fail(index);
                }
                HeadAction::LookAgain
            }
            // No more items were pulled.
            Err(Reason::Unreserved) => HeadAction::End,
            // Its outcome is being written.
            Err(_) => HeadAction::Wait(None),
        }
    }

    /// Returns when the consumer looks again at a head that has not started, if its time would be
    /// over at `until` if it started now.
    ///
    /// No thread tells the consumer of the start. With a short time-out, the consumer would look
    /// all the time. So it looks later, by up to a quarter of its wait, and at most 10 ms.
    fn look_again(&mut self, index: u64, now: Instant, until: Option<Instant>) -> Option<Instant> {
        let known = self.unstarted.filter(|&(known, _)| known == index);
        let (_, since) = *self.unstarted.insert(known.unwrap_or((index, now)));
        let later = now + (now.saturating_duration_since(since) / 4).min(LATEST_LOOK);
        let deadline = self.state.policy.settings.deadline;
        until.map(|until| until.max(later)).into_iter().chain(deadline).min()
    }

    /// Returns `true` if the stream was cancelled and the consumer has not acted on it.
    pub(crate) fn is_newly_cancelled(&self) -> bool {
        self.ended_by.is_none()
            && self.state.policy.cancelled().or_else(|| self.state.policy.closing()).is_some()
    }

    /// Notes the timing and the attempts of the outcome at `index`, which was taken. A failure
    /// tells its attempts.
    pub(crate) fn note_taken<U, E>(&mut self, index: u64, outcome: Option<&Outcome<U, E>>) {
        if self.state.counts_attempts() {
            self.attempts = match outcome {
                Some(Err(failure)) => Some(failure.attempts()),
                _ => self.state.attempts(index),
            };
        }
        if let Some(log) = &self.state.timing_log {
            let mut timing = log.take(index);
            self.frontier.note(&mut timing);
            self.timing = Some(timing);
        }
    }
}
