//! A view of what holds a batch up.

/// The oldest undelivered position of a batch, as seen at one moment.
///
/// From [`Consumer::head_of_line`](crate::Consumer::head_of_line), to find out why nothing comes.
/// The moment may be over when the view is read.
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
    /// Its index in the batch.
    pub index: u64,
    /// How many positions are reserved and not delivered, this one included: 0 if it is not
    /// reserved itself, the ring's capacity at the most.
    pub reserved: u64,
    /// How far it has come.
    pub state: HeadState,
}

/// How far the head of line has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HeadState {
    /// The producer has not reserved it.
    Unreserved,
    /// It is reserved; nobody has completed it.
    Missing,
    /// A completer is writing its value, or somebody gives it up while the consumer waits. It
    /// cannot be evicted now.
    Writing,
    /// The next `try_next` delivers it, as a value or as a gap.
    Ready,
}
