//! The structures of `hand_off` and `solo`: numbered places that are completed in any order and
//! taken in theirs, without any threads.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_channel::{Receiver, Sender, bounded};
use crossbeam_utils::CachePadded;
use reorder_ring::{Ring, Ticket};

use crate::compare::peers::{Indexed, MutexBuffer, Reorder};

/// How many places may be reserved and not taken.
pub(super) const WINDOW: usize = 1024;

pub(super) trait Structure: Sync {
    /// The right to complete a place.
    type Ticket: Copy + Send;

    fn new() -> Self;

    /// Begins: the side that reserves, and the side that takes. Nothing comes of them where there
    /// is no room, or the head is missing.
    fn open(
        &self,
    ) -> (impl FnMut() -> Option<Self::Ticket> + Send, impl FnMut() -> Option<u64> + Send);

    /// The ticket that is so many places behind the first, if it has been reserved: for workers who
    /// know beforehand which places are theirs.
    fn dealt(&self, first: Self::Ticket, index: u64) -> Option<Self::Ticket>;

    fn complete(&self, ticket: Self::Ticket, value: u64);
}

impl Structure for Ring<u64> {
    type Ticket = Ticket;

    fn new() -> Self {
        Ring::with_capacity(WINDOW).expect("memory for a window")
    }

    fn open(&self) -> (impl FnMut() -> Option<Ticket> + Send, impl FnMut() -> Option<u64> + Send) {
        let batch = Ring::open(self).expect("nobody else has it");
        let (mut producer, mut consumer) = batch.split();
        let take = move || {
            let delivery = consumer.try_next().ok()?;
            Some(delivery.outcome.expect("nobody gives up"))
        };
        (move || producer.reserve().ok(), take)
    }

    fn dealt(&self, first: Ticket, index: u64) -> Option<Ticket> {
        self.ticket_from_bits(first.to_bits() + u128::from(index)).ok()
    }

    fn complete(&self, ticket: Ticket, value: u64) {
        Ring::complete(self, ticket, value).expect("completed once");
    }
}

/// What is reserved and not taken, for structures whose tickets are numbers.
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

    /// Where the side that takes has come to.
    fn head(&self) -> u64 {
        self.head.load(Ordering::Relaxed)
    }

    fn taken_to(&self, head: u64) {
        self.head.store(head, Ordering::Release);
    }

    fn dealt(&self, first: u64, index: u64) -> Option<u64> {
        let index = first + index;
        (index < self.tail.load(Ordering::Acquire)).then_some(index)
    }
}

/// A flag and a value for each place, which nothing checks.
pub(super) struct Flags {
    /// The flag is one more than the index whose value is there.
    places: Box<[(AtomicU64, AtomicU64)]>,
    window: Window,
}

impl Structure for Flags {
    type Ticket = u64;

    fn new() -> Self {
        let places = (0..WINDOW).map(|_| Default::default()).collect();
        Flags { places, window: Window::default() }
    }

    fn open(&self) -> (impl FnMut() -> Option<u64> + Send, impl FnMut() -> Option<u64> + Send) {
        let mut taken = self.window.head();
        let take = move || {
            let (flag, value) = &self.places[taken as usize % WINDOW];
            if flag.load(Ordering::Acquire) != taken + 1 {
                return None;
            }
            let value = value.load(Ordering::Relaxed);
            taken += 1;
            self.window.taken_to(taken);
            Some(value)
        };
        (self.window.reserver(), take)
    }

    fn dealt(&self, first: u64, index: u64) -> Option<u64> {
        self.window.dealt(first, index)
    }

    fn complete(&self, index: u64, number: u64) {
        let (flag, value) = &self.places[index as usize % WINDOW];
        value.store(number, Ordering::Relaxed);
        flag.store(index + 1, Ordering::Release);
    }
}

/// The least that lets one completion of each place through, and never waits: a compare-and-swap and a
/// release store around the write, and a store each that vacates the place, says how far the reservations
/// are, and how far the takes. It refuses by panicking, wakes nobody, and knows one sequence only.
pub(super) struct PairWindow {
    /// Twice the index that may be completed here, one more while it is written, two more when it is
    /// there.
    places: Box<[(AtomicU64, AtomicU64)]>,
    window: Window,
}

impl Structure for PairWindow {
    type Ticket = u64;

    fn new() -> Self {
        let place = |index| (AtomicU64::new(2 * index), AtomicU64::new(0));
        PairWindow { places: (0..WINDOW as u64).map(place).collect(), window: Window::default() }
    }

    fn open(&self) -> (impl FnMut() -> Option<u64> + Send, impl FnMut() -> Option<u64> + Send) {
        let mut taken = self.window.head();
        let take = move || {
            let (tag, value) = &self.places[taken as usize % WINDOW];
            if tag.load(Ordering::Acquire) != 2 * taken + 2 {
                return None;
            }
            let value = value.load(Ordering::Relaxed);
            tag.store(2 * (taken + WINDOW as u64), Ordering::Release);
            taken += 1;
            self.window.taken_to(taken);
            Some(value)
        };
        (self.window.reserver(), take)
    }

    fn dealt(&self, first: u64, index: u64) -> Option<u64> {
        self.window.dealt(first, index)
    }

    fn complete(&self, index: u64, number: u64) {
        let (tag, value) = &self.places[index as usize % WINDOW];
        let (old, writing) = (2 * index, 2 * index + 1);
        let claimed = tag.compare_exchange(old, writing, Ordering::Acquire, Ordering::Acquire);
        assert!(claimed.is_ok(), "completed once");
        value.store(number, Ordering::Relaxed);
        tag.store(2 * index + 2, Ordering::Release);
    }
}

/// The mutex around a deque, whose sides sleep where others have nothing to tell.
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

    fn dealt(&self, first: u64, index: u64) -> Option<u64> {
        self.window.dealt(first, index)
    }

    fn complete(&self, index: u64, value: u64) {
        self.buffer.complete(index, value);
    }
}

/// A mutex around a map of what came early.
#[derive(Default)]
pub(super) struct MutexMap {
    early: Mutex<BTreeMap<u64, u64>>,
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
            let value = self.early.lock().expect("nothing panics in here").remove(&taken)?;
            taken += 1;
            self.window.taken_to(taken);
            Some(value)
        };
        (self.window.reserver(), take)
    }

    fn dealt(&self, first: u64, index: u64) -> Option<u64> {
        self.window.dealt(first, index)
    }

    fn complete(&self, index: u64, value: u64) {
        self.early.lock().expect("nothing panics in here").insert(index, value);
    }
}

/// A channel to the consumer, who has a heap.
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
            self.window.taken_to(early.next());
            Some(value)
        };
        (self.window.reserver(), take)
    }

    fn dealt(&self, first: u64, index: u64) -> Option<u64> {
        self.window.dealt(first, index)
    }

    fn complete(&self, index: u64, value: u64) {
        self.results.send(Indexed(index, value)).expect("the other end is here");
    }
}
