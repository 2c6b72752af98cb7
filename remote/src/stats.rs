//! The numbers that an owner and a worker count.

/// The numbers of an owner since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct OwnerStats {
    /// The tasks that were published for the first time.
    pub asked: u64,
    /// The tasks that were published again: after a failure, or after a silence.
    pub asked_again: u64,
    /// The results that were accepted.
    pub accepted: u64,
    /// The items that became a gap.
    pub gaps: u64,
    /// The accepted results of tasks that were published again before.
    pub repeated: u64,
    /// The attempts of which a worker reported a failure.
    pub failed_attempts: u64,
    /// The deliveries of a stored message whose results wait for their commit already.
    pub redelivered: u64,
    /// The refused results.
    pub refused: Refused,
    /// The messages that could not be read.
    pub unreadable: u64,
}

/// The numbers of refused results, by reason. A refused result changes nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refused {
    /// The results of an item that was delivered already, and failures of an earlier attempt.
    pub stale: u64,
    /// The results that belong to another job.
    pub foreign: u64,
    /// The results of an item that has a result, which is not delivered yet.
    pub duplicate: u64,
    /// The results of an item that became a gap before, which is not delivered yet.
    pub given_up: u64,
    /// The results of positions beyond the window, or beyond the last item.
    pub unreserved: u64,
}

impl Refused {
    /// Returns the sum of all numbers.
    pub fn total(&self) -> u64 {
        self.stale + self.foreign + self.duplicate + self.given_up + self.unreserved
    }
}

/// The numbers that an owner counts for one worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AnswerStats {
    /// The results that were accepted.
    pub accepted: u64,
    /// The accepted results of tasks that were published again before.
    pub repeated: u64,
    /// The attempts of which the worker reported a failure.
    pub failed_attempts: u64,
    /// The deliveries of a stored message whose results wait for their commit already.
    pub redelivered: u64,
    /// The refused results.
    pub refused: Refused,
}

impl AnswerStats {
    /// Adds what the owner has counted between two instants.
    pub(crate) fn add(&mut self, before: &OwnerStats, after: &OwnerStats) {
        self.accepted += after.accepted - before.accepted;
        self.repeated += after.repeated - before.repeated;
        self.failed_attempts += after.failed_attempts - before.failed_attempts;
        self.redelivered += after.redelivered - before.redelivered;
        let (to, before, after) = (&mut self.refused, &before.refused, &after.refused);
        to.stale += after.stale - before.stale;
        to.foreign += after.foreign - before.foreign;
        to.duplicate += after.duplicate - before.duplicate;
        to.given_up += after.given_up - before.given_up;
        to.unreserved += after.unreserved - before.unreserved;
    }
}

/// The numbers of a worker since it was started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkerStats {
    /// The jobs that were started.
    pub started: u64,
    /// The jobs that returned a value.
    pub done: u64,
    /// The jobs that failed or panicked.
    pub failed: u64,
    /// The deliveries of a stored message whose tasks this worker has already.
    pub redelivered: u64,
    /// The tasks that were not run, since their message was delivered too often.
    pub dead_lettered: u64,
    /// The messages that could not be read.
    pub unreadable: u64,
}
