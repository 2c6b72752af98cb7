//! A view of the position for which a batch waits.

/// The oldest undelivered position of a batch, as it was at one moment.
///
/// [`Consumer::head_of_line`](crate::Consumer::head_of_line) returns this view, which tells why the
/// consumer waits. The state of the position may have changed when the view is read.
///
/// ```
/// use reorder_ring::{HeadState, Ring};
///
/// let ring = Ring::with_capacity(4)?;
/// let mut batch = ring.open()?;
/// let (_lost, second) = (batch.reserve()?, batch.reserve()?);
/// ring.complete(second, "second")?;
///
/// let head = batch.head_of_line();
/// assert_eq!((head.index, head.state), (0, HeadState::Missing));
/// assert_eq!(head.reserved, 2, "the second waits behind it");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HeadOfLine {
    /// The index of the position in the batch.
    pub index: u64,
    /// The number of positions that are reserved and not delivered, this position included. The
    /// number is 0 if this position is not reserved, and at most the ring's capacity.
    pub reserved: u64,
    /// The state of the position.
    pub state: HeadState,
}

/// The state of the position that the consumer takes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HeadState {
    /// The producer has not reserved the position.
    Unreserved,
    /// The position is reserved and not completed.
    Missing,
    /// A completer is writing the value, or an eviction is leaving a gap. The position cannot be
    /// evicted now.
    Writing,
    /// The position is completed or evicted. The next `try_next` delivers it.
    Ready,
}
