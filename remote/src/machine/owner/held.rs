//! The messages whose results are not all committed yet.
//!
//! The engine keeps a message until it is acknowledged. The owner acknowledges it after the last of
//! its accepted results is committed. Until then, the engine may deliver it again:
//!
//! | delivery | the owner |
//! |---|---|
//! | the same stored message, which is held | keeps the newer receipt, and acknowledges nothing |
//! | the same stored message, after its acknowledgement was lost | refuses and acknowledges it |
//! | another copy | refuses and acknowledges it |
//!
//! If the owner acknowledged a redelivery of a held message, and then crashed, the only copy of the
//! result would be lost, and the item would run once more.
//!
//! While one owner takes over from another one, each of them may hold one of two copies, and refuse
//! the other copy. Then no copy is left, and the item runs once more if the newer owner dies, too.

use std::collections::BTreeMap;

use crate::machine::StoredId;

struct Held<R> {
    receipt: R,
    /// The number of accepted results that are not committed yet, at least 1.
    uncommitted: usize,
}

pub(super) struct HeldMessages<R> {
    messages: BTreeMap<StoredId, Held<R>>,
}

impl<R> HeldMessages<R> {
    pub(super) fn new() -> HeldMessages<R> {
        HeldMessages { messages: BTreeMap::new() }
    }

    /// Takes the newer receipt of a message that is held. Returns it if the message is not held.
    pub(super) fn redelivered(&mut self, id: StoredId, receipt: R) -> Result<(), R> {
        match self.messages.get_mut(&id) {
            Some(held) => {
                held.receipt = receipt;
                Ok(())
            }
            None => Err(receipt),
        }
    }

    /// Holds a message until as many of its results are committed.
    pub(super) fn hold(&mut self, id: StoredId, receipt: R, uncommitted: usize) {
        self.messages.insert(id, Held { receipt, uncommitted });
    }

    /// Notes that a result of a message is committed. Returns the receipt after the last one.
    pub(super) fn committed(&mut self, id: StoredId) -> Option<R> {
        let held = self.messages.get_mut(&id)?;
        held.uncommitted -= 1;
        if held.uncommitted > 0 {
            return None;
        }
        self.messages.remove(&id).map(|held| held.receipt)
    }

    /// Returns the receipts of all messages, which are not held any more.
    pub(super) fn take_all(&mut self) -> impl Iterator<Item = R> + use<R> {
        core::mem::take(&mut self.messages).into_values().map(|held| held.receipt)
    }

    /// Returns the number of held messages, for tests of the memory.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.messages.len()
    }
}
