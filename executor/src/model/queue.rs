//! The window of a queue.

use std::fmt;

use crate::io::Delivered;
use crate::queue::room::Room;

/// The window of a queue that is full at first.
#[derive(Default)]
pub struct FullWindow {
    room: Room,
    delivered: Delivered,
}

impl FullWindow {
    /// Takes an outcome, as the consumer of a queue does.
    pub fn take(&self) {
        self.delivered.set(self.delivered.get() + 1);
        self.room.notify(|| 1);
    }

    /// Waits as a sender does, until `outcomes` outcomes were taken.
    pub fn wait_for_room(&self, outcomes: u64) {
        self.room.wait(None, || self.delivered.get() >= outcomes);
    }
}

impl fmt::Debug for FullWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FullWindow").finish_non_exhaustive()
    }
}
