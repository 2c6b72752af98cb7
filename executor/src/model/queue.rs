//! The window of a queue.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;

use crate::io::Delivered;
use crate::limits::Budget;
use crate::queue::core::{QueueCore, Weigh};
use crate::queue::room::{Offer, Room, Wanted};
use crate::queue::sender::QueueSender;
use crate::scheduler::{Scheduler, ThreadSettings};
use crate::stream::{Opened, Ordered, open_ring};

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
        self.room.notify(|| Offer { items: 1, budget: None });
    }

    /// Waits as a sender does, until `outcomes` outcomes were taken.
    pub fn wait_for_room(&self, outcomes: u64) {
        let wanted = Wanted { items: 1, weight: None };
        self.room.wait(None, wanted, |_| self.delivered.get() >= outcomes);
    }
}

impl fmt::Debug for FullWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FullWindow").finish_non_exhaustive()
    }
}

/// Opens a queue that no worker knows. No thread runs its items.
pub fn open_queue(window: usize) -> (QueueSender<(), ()>, Ordered<'static, ()>) {
    open(window, None)
}

/// Opens a queue as [`open_queue`], whose items are their own weights.
pub fn open_weighted_queue(
    window: usize,
    limit: u64,
) -> (QueueSender<u64, ()>, Ordered<'static, ()>) {
    open(window, Some((limit, Box::new(|&weight| weight))))
}

fn open<T: Send + 'static>(
    window: usize,
    weight: Option<(u64, Weigh<T>)>,
) -> (QueueSender<T, ()>, Ordered<'static, ()>) {
    let scheduler = Scheduler::new(ThreadSettings::default(), false);
    let Opened { producer, mut output, consumer_end } = open_ring::<(), Infallible>(window, None);
    let weigh = weight.map(|(limit, weigh)| {
        output.delivered = Delivered::new(Some(Arc::new(Budget::new(limit))));
        weigh
    });
    let job = Box::new(|_, _| Ok(()));
    let core = QueueCore::new(job, producer, output, None, 1, None, Arc::clone(&scheduler));
    let core = Arc::new(core.with_weights(weigh));
    let outcomes = Ordered::new(consumer_end, core.clone(), &scheduler, None, Some(1));
    (QueueSender::new(core), outcomes)
}
