//! The commit frontier of a consumer that finishes positions out of order.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;

/// Computes how far a consumer may commit that finishes positions out of order: the lowest
/// position that is not done. All positions before it are done.
///
/// A consumer of a log, as of a partition of Kafka, commits a prefix. After a restart, it gets each
/// later message again. So it may commit the messages before the frontier only, although others
/// behind the frontier are done.
///
/// A message that was not handled is not done, although its outcome has come: its failure may be
/// `Cancelled` or `ShutDown`, for example. The recipe "Messages in order by key" of the cookbook is
/// a whole consumer.
///
/// The positions behind the frontier are kept as ranges. There is a position that is not done
/// before each range. So there are at most as many ranges as positions that are not done below the
/// last one that is done. For the indices of a [stream by key](crate::OrderedByKey), that is less
/// than the window. A range takes 16 bytes, and its share of a node of a `BTreeMap`.
///
/// ```
/// use reorder_executor::{AlreadyDone, CommitFrontier};
///
/// let mut frontier = CommitFrontier::new(100);
/// assert_eq!(frontier.done(101), Ok(None), "100 is missing");
/// assert_eq!(frontier.done(103), Ok(None));
/// assert_eq!(frontier.ranges().collect::<Vec<_>>(), [101..=101, 103..=103]);
/// assert_eq!(frontier.done(100), Ok(Some(102)), "all positions before 102 are done");
/// assert_eq!(frontier.done(100), Err(AlreadyDone { position: 100 }));
/// assert_eq!(frontier.position(), Some(102));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitFrontier {
    /// `None` after the last position that exists.
    position: Option<u64>,
    /// The done positions behind it: the last of each range, by the first. No two of them touch.
    ranges: BTreeMap<u64, u64>,
}

/// The error of a position that was done before. Returned by [`CommitFrontier::done`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AlreadyDone {
    /// The position.
    pub position: u64,
}

impl fmt::Display for AlreadyDone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "position {} was done before", self.position)
    }
}

impl std::error::Error for AlreadyDone {}

impl CommitFrontier {
    /// Returns a frontier at which all positions before `first` are done.
    pub fn new(first: u64) -> CommitFrontier {
        CommitFrontier { position: Some(first), ranges: BTreeMap::new() }
    }

    /// Notes that a position is done. Returns the new frontier if it moved: the position up to
    /// which the consumer may commit, itself not included.
    ///
    /// If all positions up to `u64::MAX` are done, returns `None` and [`position`] is `None`.
    ///
    /// [`position`]: CommitFrontier::position
    ///
    /// # Errors
    ///
    /// [`AlreadyDone`] if the position was done before, or lies before the first position. The
    /// frontier is unchanged.
    ///
    /// # Progress
    ///
    /// Wait-free, except for memory of a new range. The time is logarithmic in the number of
    /// ranges.
    pub fn done(&mut self, position: u64) -> Result<Option<u64>, AlreadyDone> {
        let refused = Err(AlreadyDone { position });
        let Some(frontier) = self.position.filter(|&frontier| frontier <= position) else {
            return refused;
        };
        let before =
            self.ranges.range(..=position).next_back().map(|(&first, &last)| (first, last));
        if before.is_some_and(|(_, last)| last >= position) {
            return refused;
        }
        let touched = position.checked_add(1).and_then(|next| self.ranges.remove(&next));
        let last = touched.unwrap_or(position);
        if position == frontier {
            self.position = last.checked_add(1);
            return Ok(self.position);
        }
        match before {
            Some((first, before)) if before + 1 == position => self.ranges.insert(first, last),
            _ => self.ranges.insert(position, last),
        };
        Ok(None)
    }

    /// Returns the lowest position that is not done. Returns `None` if all are done, up to
    /// `u64::MAX`.
    ///
    /// # Progress
    ///
    /// Wait-free.
    pub fn position(&self) -> Option<u64> {
        self.position
    }

    /// Returns the ranges of done positions behind the frontier, in order. No two of them touch.
    ///
    /// A consumer can store them with its commit. After a restart, it then skips the messages that
    /// are done.
    ///
    /// # Progress
    ///
    /// Wait-free.
    pub fn ranges(&self) -> impl ExactSizeIterator<Item = RangeInclusive<u64>> + '_ {
        self.ranges.iter().map(|(&first, &last)| first..=last)
    }
}

#[cfg(test)]
mod tests;
