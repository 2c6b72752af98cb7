//! The window of a queue.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;

use crate::io::Delivered;
use crate::limits::Budget;
use crate::queue::core::{QueueCore, Weigh};
use crate::queue::room::{Offer, Room, Wanted};
use crate::queue::sender::QueueSender;
use crate::scheduler::{Scheduler, ThreadSettings, worker};
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
    open(window, None, |()| ())
}

/// Opens a queue as [`open_queue`], whose items are their own weights.
pub fn open_weighted_queue(
    window: usize,
    limit: u64,
) -> (QueueSender<u64, ()>, Ordered<'static, ()>) {
    open_weighted_queue_with(window, limit, |_| ())
}

/// Opens a queue as [`open_weighted_queue`], with a job.
pub fn open_weighted_queue_with(
    window: usize,
    limit: u64,
    job: impl Fn(u64) + Send + Sync + 'static,
) -> (QueueSender<u64, ()>, Ordered<'static, ()>) {
    open(window, Some((limit, Box::new(|&weight| weight))), job)
}

/// Sends an item as a worker does, which runs items before it waits. Returns `false` if the queue
/// has ended. From now on, this thread counts as a worker.
pub fn send_as_worker(sender: &QueueSender<u64, ()>, item: u64) -> bool {
    worker::mark_as_worker();
    sender.send(item).is_ok()
}

fn open<T: Send + 'static>(
    window: usize,
    weight: Option<(u64, Weigh<T>)>,
    job: impl Fn(T) + Send + Sync + 'static,
) -> (QueueSender<T, ()>, Ordered<'static, ()>) {
    let scheduler = Scheduler::new(ThreadSettings::default(), false);
    let Opened { producer, mut output, consumer_end } = open_ring::<(), Infallible>(window, None);
    let weigh = weight.map(|(limit, weigh)| {
        output.delivered = Delivered::new(Some(Arc::new(Budget::new(limit))));
        weigh
    });
    let job = Box::new(move |_, item| {
        job(item);
        Ok(())
    });
    let core = QueueCore::new(job, producer, output, None, 1, None, Arc::clone(&scheduler));
    let core = Arc::new(core.with_weights(weigh));
    let outcomes = Ordered::new(consumer_end, core.clone(), &scheduler, None, Some(1));
    (QueueSender::new(core), outcomes)
}
