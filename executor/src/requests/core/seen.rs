//! What workers, the hub and the consumer see of requests.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use crate::account::Account;
use crate::feed::Delivered;
use crate::hub::Hub;
use crate::primitive::{AtomicWaker, now};
use crate::requests::core::{Core, discard_entry, lock};
use crate::requests::desk::Look;
use crate::requests::jobs::Jobs;
use crate::requests::stats::RequestStats;
use crate::snapshot::{CallKind, Progress};
use crate::turn::Turn;
use crate::work::{Published, Stream, Work};

impl<I, J, U, E> Work for Core<I, J, U, E>
where
    I: Iterator + Send + 'static,
    I::Item: Send,
    J: Jobs<I::Item, U, E> + 'static,
    U: Send + 'static,
    E: Send + 'static,
{
    fn turn(&self, turn: &Turn<'_>) -> bool {
        let mut worked = false;
        while self.step(turn) {
            worked = true;
            if turn.is_over() {
                break;
            }
        }
        if worked {
            // What this thread had in hand others could not see: they may have gone to sleep meanwhile.
            self.changed();
        }
        worked
    }

    fn claimable(&self) -> bool {
        self.is_due()
    }

    fn progress(&self) -> Option<Progress> {
        let (pulled, settled) = lock(&self.desk).extent();
        let head = self.delivered.get();
        let waiting = settled.saturating_sub(head);
        Some(Progress { kind: CallKind::Stream, head, pulled, waiting })
    }

    fn nudge(&self) {
        self.wake_consumer();
        if self.is_stopped() {
            self.jobs.abort_all();
        }
    }
}

impl<I, J, U, E> Published for Core<I, J, U, E>
where
    I: Iterator + Send + 'static,
    I::Item: Send,
    J: Jobs<I::Item, U, E> + 'static,
    U: Send + 'static,
    E: Send + 'static,
{
    fn account(&self) -> &Account {
        &self.account
    }

    fn is_done(&self) -> bool {
        let desk = lock(&self.desk);
        desk.is_done() || !desk.is_running() && self.is_stopped()
    }
}

impl<I, J, U, E> Stream for Core<I, J, U, E>
where
    I: Iterator + Send + 'static,
    I::Item: Send,
    J: Jobs<I::Item, U, E> + 'static,
    U: Send + 'static,
    E: Send + 'static,
{
    /// Only where it is a duty: to dispatch costs more than to wake a consumer.
    fn help(&self, turn: &Turn<'_>, duty: bool) -> bool {
        if duty {
            // ORDERING: requests:duty: Relaxed; as `requests:dutiful`.
            self.is_dutiful.store(true, Relaxed);
        }
        let helped = duty && self.step(turn);
        if helped {
            self.stir();
        }
        helped
    }

    fn is_quick(&self) -> bool {
        false
    }

    fn made_room(&self, _hub: &Hub) {
        self.stir();
    }

    fn cancel(&self) {
        let (feed, waiting) = lock(&self.desk).close(now());
        waiting.into_iter().for_each(discard_entry);
        feed.into_iter().for_each(|feed| self.abandon(feed));
        self.jobs.abort_all();
        self.alarm.clear();
    }

    fn is_cancelled(&self) -> bool {
        lock(&self.desk).is_closed()
    }

    fn give_up(&self, index: u64) {
        let entry = lock(&self.desk).give_up(index);
        entry.into_iter().for_each(discard_entry);
        self.jobs.abort(index);
    }

    fn due(&self) -> Option<Instant> {
        match self.look(now()) {
            Look::Rest(at) => at,
            Look::Start(_) | Look::End(_) | Look::Pull => Some(now()),
        }
    }

    fn requests(&self) -> Option<RequestStats> {
        Some(lock(&self.desk).stats(now(), &self.limiter))
    }

    fn consumer(&self) -> &AtomicWaker {
        &self.consumer
    }

    fn delivered(&self) -> &Delivered {
        &self.delivered
    }
}
