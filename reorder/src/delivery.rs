//! The delivery: the index of a position, and its value or its gap.

use core::fmt;

/// One delivered position: its index in the batch, and its value or its gap.
///
/// ```
/// use reorder_ring::{Delivery, Gap, Ring};
///
/// let ring = Ring::with_capacity(2)?;
/// let mut batch = ring.open()?;
/// let (first, second) = (batch.reserve()?, batch.reserve()?);
/// ring.evict(first)?;
/// ring.complete(second, 'b')?;
///
/// // The gap keeps its index, so the consumer can tell which item is missing.
/// assert_eq!(batch.try_next()?, Delivery { index: 0, outcome: Err(Gap::Evicted) });
/// assert_eq!(batch.try_next()?, Delivery { index: 1, outcome: Ok('b') });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Delivery<T> {
    /// The index within the batch, counted from 0 in the order of reservation.
    pub index: u64,
    /// The value, or the reason why there is none.
    pub outcome: Result<T, Gap>,
}

/// The reason why a position was delivered without a value. [`Delivery`] has an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Gap {
    /// The position was evicted before it was completed.
    Evicted,
    /// Its [`Permit`](crate::Permit) was dropped without a value.
    Abandoned,
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Gap::Evicted => "the position was evicted before it was completed",
            Gap::Abandoned => "the permit of the position was dropped without a value",
        })
    }
}

impl core::error::Error for Gap {}
