//! Tasks that leave: which of them share a message, and which are published again.

use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::gap::Gap;
use crate::link::{LinkError, MessageId};
use crate::machine::owner::asks::Ask;
use crate::machine::owner::{Owner, OwnerAction};
use crate::wire::TasksWriter;

/// The time before the owner publishes a message again that the engine did not confirm.
const PUBLISH_AGAIN: Duration = Duration::from_millis(500);

impl<R: Clone> Owner<R> {
    /// Notes the end of a publication.
    pub(crate) fn published(&mut self, now: Instant, number: u64, result: Result<(), LinkError>) {
        match result {
            Ok(()) => {
                for position in self.asks.confirmed(number, now) {
                    self.set(position, Ask::Queued(number));
                }
            }
            Err(LinkError::TooLarge { given, allowed }) => {
                let (given, allowed) = (given as u64, allowed as u64);
                let (positions, was_alone) = self.asks.refused(number);
                for position in positions {
                    if was_alone {
                        self.settle_with_gap(position, Gap::TaskTooLarge { given, allowed });
                    } else {
                        self.set(position, Ask::Again);
                    }
                }
            }
            Err(LinkError::Unavailable(_)) => self.asks.failed(number, now + PUBLISH_AGAIN),
        }
    }

    /// Returns a message that the engine did not confirm, when its next try is due.
    pub(super) fn next_retry(&mut self, now: Instant) -> Option<OwnerAction<R>> {
        let (number, body) = self.asks.retry(now)?;
        Some(self.publication(number, body))
    }

    /// Returns the next message of tasks.
    pub(super) fn next_publication(&mut self, now: Instant) -> Option<OwnerAction<R>> {
        let number = self.asks.next_number();
        let mut tasks = TasksWriter::new(self.ring());
        let positions = match self.asks.first_again() {
            // A task that is asked for again has a message of its own. If it kills its workers, it
            // does not take other tasks with it.
            Some(position) => {
                self.stats.asked_again += 1;
                self.entries[(position - self.base) as usize].is_repeated = true;
                self.write(&mut tasks, position, number);
                vec![position]
            }
            None if self.may_ask(now) => self.write_fresh(&mut tasks, number),
            None => return None,
        };
        if positions.is_empty() {
            return None;
        }
        let body = tasks.finish();
        self.asks.publish(positions, body.clone());
        Some(self.publication(number, body))
    }

    fn publication(&self, number: u64, body: Bytes) -> OwnerAction<R> {
        let id = MessageId { sender: self.config.instance, number };
        OwnerAction::Publish { number, id, body }
    }

    /// Returns `true` if a message of new tasks is due. While workers have enough to do, it waits
    /// until it is full.
    fn may_ask(&mut self, now: Instant) -> bool {
        if self.listen_until.is_some_and(|until| now < until) {
            return false;
        }
        self.listen_until = None;
        let is_full = self.asks.fresh() >= self.config.items_per_message;
        is_full || self.end.is_some() || self.asks.out() <= self.config.window / 2
    }

    /// Writes new tasks until the message is full, and returns their positions.
    fn write_fresh(&mut self, tasks: &mut TasksWriter, number: u64) -> Vec<u64> {
        let mut positions = Vec::new();
        while let Some(position) = self.asks.first_fresh() {
            let payload = &self.entries[(position - self.base) as usize].payload;
            let fits = tasks.has_room(payload, self.config.max_message);
            if positions.len() == self.config.items_per_message || !fits {
                break;
            }
            self.write(tasks, position, number);
            positions.push(position);
        }
        self.stats.asked += positions.len() as u64;
        positions
    }

    /// Writes a task into the message of this number.
    fn write(&mut self, tasks: &mut TasksWriter, position: u64, number: u64) {
        let entry = &self.entries[(position - self.base) as usize];
        tasks.push(position, entry.attempt, &entry.payload);
        self.set(position, Ask::Publishing(number));
    }

    /// Ends the timers that are due.
    pub(super) fn run_timers(&mut self, now: Instant) {
        while let Some(position) = self.asks.timer(now) {
            match self.entry(position).map(|entry| entry.ask) {
                Some(Ask::Overtaken(_)) => self.note_silence(position),
                Some(Ask::Waiting(_)) => self.set(position, Ask::Again),
                _ => {}
            }
        }
        for position in self.asks.quiet(now) {
            if let Some(Ask::Queued(_)) = self.entry(position).map(|entry| entry.ask) {
                self.set(position, Ask::Again);
            }
        }
    }

    /// Notes that an attempt was not answered.
    fn note_silence(&mut self, position: u64) {
        let entry = &mut self.entries[(position - self.base) as usize];
        if entry.attempt < self.config.attempts {
            entry.attempt += 1;
            return self.set(position, Ask::Again);
        }
        let (attempts, last_error) = (entry.attempt, entry.last_error.take());
        self.settle_with_gap(position, Gap::NoAnswer { attempts, last_error });
    }
}
