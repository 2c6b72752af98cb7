//! The structures of `hand_off` and `solo`, which have no threads: numbered slots that are
//! completed in any order and taken in order.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_channel::{Receiver, Sender, bounded};
use crossbeam_utils::CachePadded;
use reorder_ring::{Ring, Ticket};

use crate::compare::peers::{Indexed, MutexBuffer, Reorder};

/// The largest number of slots that are reserved and not taken.
pub(super) const WINDOW: usize = 1024;

pub(super) trait Structure: Sync {
    /// The right to complete a slot.
    type Ticket: Copy + Send;

    fn new() -> Self;

    /// Returns a function that reserves and a function that takes. The first returns `None` if no
    /// slot is free, and the second if the head is not complete. The mutex waits instead.
    fn open(
        &self,
    ) -> (impl FnMut() -> Option<Self::Ticket> + Send, impl FnMut() -> Option<u64> + Send);

    /// Returns the ticket that is `index` after `first`, if it is reserved. Completers that know
    /// their positions beforehand use it.
    fn ticket_at(&self, first: Self::Ticket, index: u64) -> Option<Self::Ticket>;

    fn complete(&self, ticket: Self::Ticket, value: u64);
}

impl Structure for Ring<u64> {
    type Ticket = Ticket;

    fn new() -> Self {
        Ring::with_capacity(WINDOW).expect("allocate a ring")
    }

    fn open(&self) -> (impl FnMut() -> Option<Ticket> + Send, impl FnMut() -> Option<u64> + Send) {
        let batch = Ring::open(self).expect("the ring is free");
        let (mut producer, mut consumer) = batch.split();
        let take = move || {
            let delivery = consumer.try_next().ok()?;
            Some(delivery.outcome.expect("no position is evicted"))
        };
        (move || producer.reserve().ok(), take)
    }

    fn ticket_at(&self, first: Ticket, index: u64) -> Option<Ticket> {
        self.ticket_from_bits(first.to_bits() + u128::from(index)).ok()
    }

    fn complete(&self, ticket: Ticket, value: u64) {
        Ring::complete(self, ticket, value).expect("each ticket is completed once");
    }
}

/// The range of reserved and not taken slots, for structures whose tickets are numbers.
#[derive(Default)]
struct Window {
    head: CachePadded<AtomicU64>,
    tail: CachePadded<AtomicU64>,
}

impl Window {
    fn reserver(&self) -> impl FnMut() -> Option<u64> + Send {
        let mut reserved = self.tail.load(Ordering::Relaxed);
        let mut limit = reserved;
        move || {
            if reserved == limit {
                limit = self.head.load(Ordering::Acquire) + WINDOW as u64;
                if reserved == limit {
                    return None;
                }
            }
            reserved += 1;
            self.tail.store(reserved, Ordering::Release);
            Some(reserved - 1)
        }
    }

    /// Returns the number of taken slots.
    fn head(&self) -> u64 {
        self.head.load(Ordering::Relaxed)
    }

    fn set_head(&self, head: u64) {
        self.head.store(head, Ordering::Release);
    }

    fn ticket_at(&self, first: u64, index: u64) -> Option<u64> {
        let index = first + index;
        (index < self.tail.load(Ordering::Acquire)).then_some(index)
    }
}

/// Slots with a flag and a value, without any checks.
pub(super) struct Flags {
    /// The flag is the index of the value, plus one.
    slots: Box<[(AtomicU64, AtomicU64)]>,
    window: Window,
}

impl Structure for Flags {
    type Ticket = u64;

    fn new() -> Self {
        let slots = (0..WINDOW).map(|_| Default::default()).collect();
        Flags { slots, window: Window::default() }
    }

    fn open(&self) -> (impl FnMut() -> Option<u64> + Send, impl FnMut() -> Option<u64> + Send) {
        let mut taken = self.window.head();
        let take = move || {
            let (flag, value) = &self.slots[taken as usize % WINDOW];
            if flag.load(Ordering::Acquire) != taken + 1 {
                return None;
            }
            let value = value.load(Ordering::Relaxed);
            taken += 1;
            self.window.set_head(taken);
            Some(value)
        };
        (self.window.reserver(), take)
    }

    fn ticket_at(&self, first: u64, index: u64) -> Option<u64> {
        self.window.ticket_at(first, index)
    }

    fn complete(&self, index: u64, number: u64) {
        let (flag, value) = &self.slots[index as usize % WINDOW];
        value.store(number, Ordering::Relaxed);
        flag.store(index + 1, Ordering::Release);
    }
}

/// The least that accepts one completion per slot and never waits.
///
/// It has a compare-and-swap and a release store around the write. It has one store each that frees
/// the slot, publishes the number of reservations, and publishes the number of takes. It refuses a
/// completion by a panic, wakes no thread, and has a single sequence.
pub(super) struct PairWindow {
    /// A tag and a value. The tag is twice the index that may be completed here, plus one while the
    /// value is written, and plus two when it is complete.
    slots: Box<[(AtomicU64, AtomicU64)]>,
    window: Window,
}

impl Structure for PairWindow {
    type Ticket = u64;

    fn new() -> Self {
        let slot = |index| (AtomicU64::new(2 * index), AtomicU64::new(0));
        PairWindow { slots: (0..WINDOW as u64).map(slot).collect(), window: Window::default() }
    }

    fn open(&self) -> (impl FnMut() -> Option<u64> + Send, impl FnMut() -> Option<u64> + Send) {
        let mut taken = self.window.head();
        let take = move || {
            let (tag, value) = &self.slots[taken as usize % WINDOW];
            if tag.load(Ordering::Acquire) != 2 * taken + 2 {
                return None;
            }
            let value = value.load(Ordering::Relaxed);
            tag.store(2 * (taken + WINDOW as u64), Ordering::Release);
            taken += 1;
            self.window.set_head(taken);
            Some(value)
        };
        (self.window.reserver(), take)
    }

    fn ticket_at(&self, first: u64, index: u64) -> Option<u64> {
        self.window.ticket_at(first, index)
    }

    fn complete(&self, index: u64, number: u64) {
        let (tag, value) = &self.slots[index as usize % WINDOW];
        let (old, writing) = (2 * index, 2 * index + 1);
        let claimed = tag.compare_exchange(old, writing, Ordering::Acquire, Ordering::Acquire);
        assert!(claimed.is_ok(), "each ticket is completed once");
        value.store(number, Ordering::Relaxed);
        tag.store(2 * index + 2, Ordering::Release);
    }
}

/// A mutex around a deque. Both of its functions wait instead of returning `None`.
pub(super) struct MutexDeque {
    buffer: MutexBuffer<u64>,
    window: Window,
}

impl Structure for MutexDeque {
    type Ticket = u64;

    fn new() -> Self {
        MutexDeque { buffer: MutexBuffer::with_capacity(WINDOW), window: Window::default() }
    }

    fn open(&self) -> (impl FnMut() -> Option<u64> + Send, impl FnMut() -> Option<u64> + Send) {
        let reserve = || {
            let index = self.buffer.reserve();
            self.window.tail.store(index + 1, Ordering::Release);
            Some(index)
        };
        (reserve, || self.buffer.take())
    }

    fn ticket_at(&self, first: u64, index: u64) -> Option<u64> {
        self.window.ticket_at(first, index)
    }

    fn complete(&self, index: u64, value: u64) {
        self.buffer.complete(index, value);
    }
}

/// A mutex around a map of the completed values.
#[derive(Default)]
pub(super) struct MutexMap {
    completed: Mutex<BTreeMap<u64, u64>>,
    window: Window,
}

impl Structure for MutexMap {
    type Ticket = u64;

    fn new() -> Self {
        MutexMap::default()
    }

    fn open(&self) -> (impl FnMut() -> Option<u64> + Send, impl FnMut() -> Option<u64> + Send) {
        let mut taken = self.window.head();
        let take = move || {
            let value = self.completed.lock().expect(NO_PANIC).remove(&taken)?;
            taken += 1;
            self.window.set_head(taken);
            Some(value)
        };
        (self.window.reserver(), take)
    }

    fn ticket_at(&self, first: u64, index: u64) -> Option<u64> {
        self.window.ticket_at(first, index)
    }

    fn complete(&self, index: u64, value: u64) {
        self.completed.lock().expect(NO_PANIC).insert(index, value);
    }
}

const NO_PANIC: &str = "no thread panics while it holds the lock";

/// A channel to the consumer, which puts the values in order by a heap.
pub(super) struct ChannelHeap {
    results: Sender<Indexed<u64>>,
    finished: Receiver<Indexed<u64>>,
    window: Window,
}

impl Structure for ChannelHeap {
    type Ticket = u64;

    fn new() -> Self {
        let (results, finished) = bounded(WINDOW);
        ChannelHeap { results, finished, window: Window::default() }
    }

    fn open(&self) -> (impl FnMut() -> Option<u64> + Send, impl FnMut() -> Option<u64> + Send) {
        let mut early = Reorder::starting_at(self.window.head());
        let take = move || {
            let value = loop {
                match early.take() {
                    Some(value) => break value,
                    None => early.put(self.finished.try_recv().ok()?),
                }
            };
            self.window.set_head(early.next());
            Some(value)
        };
        (self.window.reserver(), take)
    }

    fn ticket_at(&self, first: u64, index: u64) -> Option<u64> {
        self.window.ticket_at(first, index)
    }

    fn complete(&self, index: u64, value: u64) {
        self.results.send(Indexed(index, value)).expect("the receiver lives as long as the sender");
    }
}
