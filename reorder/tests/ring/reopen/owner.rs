//! The thread that opens the batches.

use std::sync::atomic::Ordering::{Relaxed, Release};
use std::thread;

use super::Answers;
use super::actor::Actor;
use super::stamped::{Name, Stamped};
use reorder_ring::{Batch, Busy, HeadState, ReserveError, Ring, Ticket};

impl<'s, 'd> Actor<'s, 'd> {
    pub(super) fn own(mut self, batches: u64) -> Answers {
        // `identity` had the first.
        let mut position = 1;
        for batch in 1..=batches {
            let mut open = self.open();
            self.stage.opened.store(batch, Release);
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
            self.stage.closing.store(batch, Relaxed);
            self.close(open);
        }
        self.answers
    }

    fn open(&self) -> Batch<&'s Ring<Stamped<'d>>> {
        loop {
            match self.stage.ring.open() {
                Ok(batch) => return batch,
                // A worker was preempted in mid-write.
                Err(Busy::Orphaned) => thread::yield_now(),
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// Reserves the position of this name, and settles it or leaves it to the workers.
    fn reserve(&mut self, open: &mut Batch<&'s Ring<Stamped<'d>>>, name: Name) {
        let live = &self.stage.live[name.position as usize % self.stage.live.len()];
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

    /// Takes the head of line if it is there, and compares it with the name of its position.
    fn take(&mut self, open: &mut Batch<&'s Ring<Stamped<'d>>>, names: &[Name]) -> bool {
        if open.head_of_line().state != HeadState::Ready {
            return false;
        }
        let name = names[open.delivered() as usize];
        self.stage.taking.store(name.position + 1, Relaxed);
        let delivery = open.try_next().expect("it was there");
        assert_eq!(delivery.index, name.index);
        if let Ok(value) = delivery.outcome {
            value.retrieve(self.stage.identity, name);
            self.answers.delivered += 1;
        }
        true
    }

    fn close(&mut self, open: Batch<&'s Ring<Stamped<'d>>>) {
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
