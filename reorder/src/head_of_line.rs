//! A view of what holds a batch up.

/// The oldest undelivered position of a batch, as seen at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HeadOfLine {
    /// Its index in the batch.
    pub index: u64,
    /// How many positions are reserved and not delivered, this one included.
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
    /// A completer is writing its value.
    Writing,
    /// The next `try_next` delivers it, as a value or as a gap.
    Settled,
}
