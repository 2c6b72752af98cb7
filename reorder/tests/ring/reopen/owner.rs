//! The thread that opens the batches.

use std::sync::atomic::Ordering::{Relaxed, Release};
use std::thread;

use super::Answers;
use super::named_value::{Name, NamedValue};
use super::test_thread::TestThread;
use reorder_ring::{Batch, Busy, HeadState, ReserveError, Ring, Ticket};

impl<'s, 'd> TestThread<'s, 'd> {
    /// Opens, fills, partly takes and closes `batches` batches.
    pub(super) fn own(mut self, batches: u64) -> Answers {
        // `identity` has used position 0.
        let mut position = 1;
        for batch in 1..=batches {
            let mut open = self.open();
            self.shared.opened.store(batch, Release);
            let mut names = [Name::default(); 16];
            for index in 0..self.random(2 * open.ring().capacity() + 1) {
                if open.space() == 0 && !self.take(&mut open, &names) {
                    break;
                }
                names[index] = Name { batch, index: index as u64, position };
                self.reserve(&mut open, names[index]);
                position += 1;
            }
            while self.random(4) != 0 && self.take(&mut open, &names) {}
            self.shared.closing.store(batch, Relaxed);
            self.close(open);
        }
        self.answers
    }

    fn open(&self) -> Batch<&'s Ring<NamedValue<'d>>> {
        loop {
            match self.shared.ring.open() {
                Ok(batch) => return batch,
                // A worker was preempted while it writes.
                Err(Busy::Orphaned) => thread::yield_now(),
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// Reserves the position of this name. Completes it, evicts it, drops its permit, or leaves it
    /// to the workers.
    fn reserve(&mut self, open: &mut Batch<&'s Ring<NamedValue<'d>>>, name: Name) {
        let live = &self.shared.live[name.position as usize % self.shared.live.len()];
        let way = self.random(8);
        if way < 2 {
            let permit = open.permit().unwrap();
            live.store(name.to_word(), Relaxed);
            if way == 0 {
                let answer = permit.complete(self.value(name));
                self.completed(answer, name, name.batch);
            }
            return;
        }
        assert_eq!(open.reserve().map(Ticket::position), Ok(name.position));
        live.store(name.to_word(), Relaxed);
        match way {
            2 => self.evict(name),
            3 | 4 => self.complete(name),
            _ => {}
        }
    }

    /// Takes the head of line if it is ready, and compares it with the name of its position.
    fn take(&mut self, open: &mut Batch<&'s Ring<NamedValue<'d>>>, names: &[Name]) -> bool {
        if open.head_of_line().state != HeadState::Ready {
            return false;
        }
        let name = names[open.delivered() as usize];
        self.shared.taking.store(name.position + 1, Relaxed);
        let delivery = open.try_next().expect("the head was ready");
        assert_eq!(delivery.index, name.index);
        if let Ok(value) = delivery.outcome {
            value.retrieve(self.shared.identity, name);
            self.answers.delivered += 1;
        }
        true
    }

    fn close(&mut self, open: Batch<&'s Ring<NamedValue<'d>>>) {
        let way = self.random(4);
        if way == 0 {
            return drop(open);
        }
        let (mut producer, consumer) = open.split();
        if way == 1 {
            producer.finish();
            return drop(consumer);
        }
        drop(consumer);
        assert_eq!(producer.reserve(), Err(ReserveError::Cancelled));
        if way == 2 {
            producer.finish();
        }
    }
}
