//! The reference model of a limiter.

use super::*;

/// The reference model of a limiter.
#[derive(Default)]
pub(super) struct Service {
    /// When the last dispatch was due, and when it was made.
    pub(super) last: Option<(u64, u64)>,
    pub(super) delay: u64,
    pub(super) not_before: u64,
    pub(super) round: u64,
    /// The number of closings, and the attempts in flight since the last one.
    pub(super) closing: u64,
    pub(super) closed_until: u64,
    /// The length of all closings.
    pub(super) closed: u64,
    pub(super) in_flight: u64,
    /// The maximum of attempts in flight, after a closing.
    pub(super) window: Option<u64>,
    /// The batches that wait, each with the time since which it does.
    pub(super) queue: Vec<(usize, u64)>,
}

impl Service {
    pub(super) fn is_full(&self) -> bool {
        self.window.is_some_and(|window| self.in_flight >= window)
    }

    /// Returns when the pace and the throttle allow a batch the next dispatch, if it may not
    /// dispatch now.
    pub(super) fn closed_until(
        &mut self,
        plan: &Plan,
        batch: usize,
        time: u64,
    ) -> Option<(u64, u64)> {
        let interval = plan.pace.max(self.delay);
        if interval == 0 && self.not_before <= time && self.window.is_none() {
            return None;
        }
        let last = self.last.filter(|_| interval > 0);
        let slot = last.map_or(0, |(due, _)| due + interval);
        // In virtual time, the first batch is never late for its turn.
        let is_first = self.queue.first().is_none_or(|&(first, _)| first == batch);
        if is_first && slot.max(self.not_before) <= time && !self.is_full() {
            return None;
        }
        if !self.queue.iter().any(|&(other, _)| other == batch) {
            self.queue.push((batch, time));
        }
        let place = self.queue.iter().position(|&(other, _)| other == batch).unwrap() as u64;
        let is_of_service = self.is_full() || self.not_before > slot.max(time);
        let throttled =
            if is_of_service { last.map_or(time, |_| slot + interval * place) } else { u64::MAX };
        let paced = self.last.map_or(time, |(due, _)| due + plan.pace * (place + 1));
        Some((if interval == plan.pace { throttled } else { paced.min(throttled) }, throttled))
    }

    pub(super) fn dispatch(&mut self, plan: &Plan, batch: usize, time: u64) {
        let interval = plan.pace.max(self.delay);
        let due = match self.last.filter(|_| interval > 0) {
            None => time,
            Some((due, at)) if time <= at + interval => due + interval,
            Some((due, _)) => {
                let since = self.queue.iter().map(|&(_, since)| since).min();
                (due + interval).max(since.unwrap_or(time))
            }
        };
        let due = due.max(time.saturating_sub(15 * interval)).max(self.not_before);
        self.last = Some((due, time));
        self.in_flight += 1;
        self.leave(batch);
    }

    pub(super) fn leave(&mut self, batch: usize) {
        self.queue.retain(|&(other, _)| other != batch);
    }

    pub(super) fn ended(
        &mut self,
        plan: &Plan,
        (round, closing): (u64, u64),
        reply: Reply,
        time: u64,
    ) {
        let was_full = self.is_full();
        if closing == self.closing {
            self.in_flight -= 1;
            if matches!(reply, Reply::Done | Reply::Failed) {
                self.window = self.window.map(|window| window + 1);
            }
        }
        if let Some(aimd) = plan.throttle.filter(|_| round == self.round) {
            self.adapt(aimd, reply, time);
        }
        if let Reply::Closed(length) = reply {
            self.close(length, time);
        }
        if was_full && !self.is_full() {
            self.not_before = self.not_before.max(time);
        }
    }

    pub(super) fn close(&mut self, length: u64, time: u64) {
        if length == 0 {
            return;
        }
        if self.closed_until <= time {
            (self.closing, self.in_flight, self.window) = (self.closing + 1, 0, Some(1));
        }
        self.closed += (time + length).saturating_sub(self.closed_until.max(time));
        self.closed_until = self.closed_until.max(time + length);
        self.not_before = self.not_before.max(self.closed_until);
    }

    pub(super) fn adapt(&mut self, aimd: Aimd, reply: Reply, time: u64) {
        if reply == Reply::Done {
            let shorter = self.delay.saturating_sub(aimd.step).max(aimd.floor);
            if shorter < self.delay {
                self.not_before = self.not_before.max(time);
            }
            self.delay = shorter;
        } else if matches!(reply, Reply::Retry(_) | Reply::Closed(_)) {
            let longer = (self.delay * aimd.multiplier).max(self.delay + aimd.step);
            self.delay = longer.min(aimd.ceiling);
            self.round += 1;
            self.last = self.last.map(|(_, at)| (at, at));
        }
    }
}
