//! The ring that issued a ticket, as the ticket stores it.
//!
//! ```text
//!   63         62                                                        0
//! +---------+--------------------------------------------------------------+
//! | resumed | identity of the ring                                         |
//! +---------+--------------------------------------------------------------+
//! ```
//!
//! * A ring trusts the tickets that it issued itself: their positions are reserved. So `complete`
//!   does not load the tail.
//! * A process may have two rings of one identity, since a resumed ring has the identity of its
//!   predecessor. A ticket of the one may have a position that the other has not reserved.
//! * The mark tells their tickets apart. A ring that was made refuses marked tickets as foreign. A
//!   ring that was resumed accepts tickets with and without the mark, and compares their positions
//!   with its tail.
//!
//! The mark does not leave the process. The bits of a ticket contain the identity alone.

use core::num::NonZeroU64;

use crate::ticket::ring_id::RingId;

const RESUMED: u64 = 1 << RingId::BITS;

/// The identity of a ring, and the mark of a ring that was resumed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Issuer(NonZeroU64);

impl Issuer {
    /// Returns the issuer of the tickets of a ring that was made.
    pub(crate) fn made(id: RingId) -> Issuer {
        Issuer(id.get())
    }

    /// Returns the issuer of the tickets of a ring that was resumed.
    pub(crate) fn resumed(id: RingId) -> Issuer {
        Issuer(id.get() | RESUMED)
    }

    pub(crate) fn is_resumed(self) -> bool {
        self.0.get() & RESUMED != 0
    }

    /// Returns the identity without the mark.
    pub(crate) fn id(self) -> RingId {
        RingId::without_mark(self.0)
    }
}

#[cfg(all(test, not(reorder_loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_mark_distinguishes_issuers_and_does_not_change_the_identity() {
        for id in [1, 2, 1 << 62, (1 << 63) - 1] {
            let id = RingId::try_from(id).unwrap();
            let (made, resumed) = (Issuer::made(id), Issuer::resumed(id));
            assert!(made != resumed && !made.is_resumed() && resumed.is_resumed());
            assert_eq!((made.id(), resumed.id()), (id, id));
        }
    }
}
