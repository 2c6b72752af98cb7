//! The end of a queue: its last sender has gone, its consumer has gone, or a limit ends it.

use std::collections::VecDeque;
use std::sync::atomic::Ordering::Relaxed;

use crate::io::OutputProducer;
use crate::primitive::lock;
use crate::queue::core::QueueCore;
use crate::queue::room::Offer;
use crate::stream::StreamWork;
use crate::stream::backlog::Reserved;

impl<T: Send, U: Send, E: Send> QueueCore<T, U, E> {
    /// Counts a sender that is gone. After the last one, the queue ends behind what was sent.
    pub(in crate::queue) fn sender_ended(&self) {
        let mut state = lock(&self.state);
        state.senders -= 1;
        if state.senders > 0 {
            return;
        }
        self.position_all(&mut state);
        let producer = state.producer.take();
        if producer.is_some() {
            self.progress.end();
        }
        drop(state);
        producer.into_iter().for_each(OutputProducer::finish);
        self.scheduler.after_run();
    }

    /// Takes the items that no worker has started. Returns none while the queue is open.
    pub(in crate::queue) fn take_unstarted(&self) -> Vec<T> {
        if !self.is_cancelled() {
            return Vec::new();
        }
        std::mem::take(&mut lock(&self.state).items).into()
    }

    /// Ends the queue. Returns the positions of the items that no thread has started. No thread
    /// will complete them.
    pub(super) fn close(&self) -> VecDeque<(Reserved, usize)> {
        let mut state = lock(&self.state);
        // ORDERING: queue:cancel: Relaxed; the lock orders it for senders and workers.
        self.cancelled.store(true, Relaxed);
        let producer = state.producer.take();
        let positions = std::mem::take(&mut state.positions);
        self.progress.finish(std::mem::take(&mut state.positioned));
        self.progress.end();
        drop(state);
        drop(producer);
        self.room.notify(|| Offer::END);
        positions
    }
}
