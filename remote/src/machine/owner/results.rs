//! Results that arrive: the ring accepts or refuses each of them, and the message is held or not.

use std::time::{Duration, Instant};

use bytes::Bytes;
use reorder_ring::{Reason, RingId, TicketError};

use crate::gap::Gap;
use crate::link::{Acknowledgement, Message};
use crate::machine::StoredId;
use crate::machine::owner::Owner;
use crate::machine::owner::asks::Ask;
use crate::wire::{Outcome, ResultItem, Results};

/// The time for which a message stays away that the owner cannot use now.
const PUT_BACK: Duration = Duration::from_secs(5);
/// The number of deliveries after which the engine drops such a message.
const MOST_DELIVERIES: u64 = 4;
/// The longest wait before another attempt. A worker may ask for more than an instant can express.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

/// The number of workers that are counted on their own. Each of them takes memory for ever.
const MOST_WORKERS: usize = 1024;

/// The decision about one result.
enum Verdict {
    Accepted,
    Unreserved,
    /// The result was refused, or was a failure. Its message need not be kept.
    Over,
}

impl<R: Clone> Owner<R> {
    /// Takes a message of the channel of results.
    pub(crate) fn received(&mut self, now: Instant, message: Message<R>) {
        let Message { sequence, deliveries, body, receipt } = message;
        if self.lease.fenced_by().is_some() {
            return self.acknowledge(receipt, Acknowledgement::Again(Duration::ZERO));
        }
        let put_back = match deliveries < MOST_DELIVERIES {
            true => Acknowledgement::Again(PUT_BACK),
            false => Acknowledgement::Refused,
        };
        let Ok(results) = Results::decode(&body) else {
            self.stats.unreadable += 1;
            return self.acknowledge(receipt, put_back);
        };
        let (worker, before) = (results.worker, self.stats);
        let id = StoredId { sequence, ring: results.ring, checksum: results.checksum };
        self.take_results(now, id, results, receipt, put_back);
        if self.answers.len() < MOST_WORKERS || self.answers.contains_key(&worker) {
            self.answers.entry(worker).or_default().add(&before, &self.stats);
        }
    }

    fn take_results(
        &mut self,
        now: Instant,
        id: StoredId,
        results: Results,
        receipt: R,
        put_back: Acknowledgement,
    ) {
        let Err(receipt) = self.held.redelivered(id, receipt) else {
            self.stats.redelivered += 1;
            return;
        };
        let (mut accepted, mut unreserved) = (0, false);
        for item in results.items {
            match self.accept(now, results.ring, id, item) {
                Verdict::Accepted => accepted += 1,
                Verdict::Unreserved => unreserved = true,
                Verdict::Over => {}
            }
        }
        if accepted > 0 {
            self.held.hold(id, receipt, accepted);
        } else if unreserved {
            self.acknowledge(receipt, put_back);
        } else {
            self.acknowledge(receipt, Acknowledgement::Done);
        }
    }

    /// Notes that the engine has no result at present.
    pub(crate) fn received_nothing(&mut self) {
        self.listen_until = None;
    }

    fn accept(&mut self, now: Instant, ring: RingId, id: StoredId, item: ResultItem) -> Verdict {
        let position = item.position;
        let bits = u128::from(u64::from(ring)) << 64 | u128::from(position);
        let ticket = match self.batch.ring().ticket_from_bits(bits) {
            Ok(ticket) if self.end.is_none_or(|end| position < end) => ticket,
            Err(TicketError::Foreign { .. }) => {
                self.stats.refused.foreign += 1;
                return Verdict::Over;
            }
            _ => {
                self.stats.refused.unreserved += 1;
                return Verdict::Unreserved;
            }
        };
        self.asks.heard(now);
        let value = match item.outcome {
            Outcome::Done(value) => value,
            failure => {
                self.note_failure(now, position, item.attempt, failure);
                return Verdict::Over;
            }
        };
        if let Err(refused) = self.batch.ring().complete(ticket, value) {
            self.count_refused(refused.reason);
            return Verdict::Over;
        }
        self.note_answer(now, position, item.attempt);
        self.stats.accepted += 1;
        let entry = &mut self.entries[(position - self.base) as usize];
        self.asks.set(position, &mut entry.ask, Ask::Settled);
        self.stats.repeated += u64::from(entry.is_repeated);
        entry.payload = Bytes::new();
        entry.message = Some(id);
        Verdict::Accepted
    }

    /// Notes the failure of an attempt, unless it is not the last attempt of its item.
    fn note_failure(&mut self, now: Instant, position: u64, attempt: u32, failure: Outcome) {
        let Some(entry) = self.entry(position) else {
            self.stats.refused.stale += 1;
            return;
        };
        match entry.ask {
            Ask::Settled if entry.gap.is_some() => return self.stats.refused.given_up += 1,
            Ask::Settled => return self.stats.refused.duplicate += 1,
            Ask::Unasked | Ask::Fresh | Ask::Again | Ask::Waiting(_) => {
                return self.stats.refused.stale += 1;
            }
            _ if attempt != entry.attempt => return self.stats.refused.stale += 1,
            Ask::Publishing(_) | Ask::Queued(_) | Ask::Overtaken(_) => {}
        }
        self.stats.failed_attempts += 1;
        self.note_answer(now, position, attempt);
        match failure {
            Outcome::Retry { error, .. } if attempt >= self.config.attempts => {
                self.settle_with_gap(position, Gap::Failed { attempts: attempt, error });
            }
            Outcome::Retry { error, after } => {
                let entry = &mut self.entries[(position - self.base) as usize];
                entry.last_error = Some(error);
                entry.attempt += 1;
                let until = now + after.min(LONGEST_WAIT);
                self.asks.set(position, &mut entry.ask, Ask::Waiting(until));
            }
            Outcome::Failed { error } => {
                self.settle_with_gap(position, Gap::Failed { attempts: attempt, error });
            }
            Outcome::TooLarge { given, allowed } => {
                self.settle_with_gap(position, Gap::ResultTooLarge { given, allowed });
            }
            Outcome::Done(_) => {}
        }
    }

    /// Notes that a worker has answered an attempt. Older asks that are still queued are overtaken.
    fn note_answer(&mut self, now: Instant, position: u64, attempt: u32) {
        let Some(entry) = self.entry(position) else { return };
        // The answer to an earlier attempt does not tell how far the engine is.
        let ask = if attempt == entry.attempt { entry.ask } else { Ask::Unasked };
        for overtaken in self.asks.answered(ask, now) {
            let Some(entry) = self.entry(overtaken) else { continue };
            if let Ask::Queued(_) = entry.ask {
                let until = self.asks.silent_until(now, entry.attempt);
                self.set(overtaken, Ask::Overtaken(until));
            }
        }
    }

    fn count_refused(&mut self, reason: Reason) {
        let refused = &mut self.stats.refused;
        *match reason {
            Reason::Foreign => &mut refused.foreign,
            Reason::Duplicate => &mut refused.duplicate,
            Reason::Evicted | Reason::Abandoned => &mut refused.given_up,
            Reason::Unreserved => &mut refused.unreserved,
            // The position was delivered, by this owner or by an earlier one.
            _ => &mut refused.stale,
        } += 1;
    }
}
