//! The output of a call that orders its outcomes by key.
//!
//! In a call without keys, an item gets its position of the ring when it is pulled. Here, an item
//! first gets a slot in a table. Its outcome gets the next position of the ring when the outcomes
//! of all earlier items of its key have theirs. So the ring holds outcomes whose turn has come, and
//! its consumer never waits for an item while another outcome could be taken.
//!
//! The lock of the table is held for a few instructions, and never while user code runs.

use std::time::Instant;

use reorder_ring::{Producer, Rejected, ReserveError, Ticket};

use crate::io::chunk::{Chunk, ChunkRing};
use crate::io::key_table::{Admitted, KeyId, KeyTable, KeyTicket};
use crate::primitive::{Mutex, MutexGuard, lock};
use crate::unwind::{DiscardOnDrop, catch_panic, discard};

/// The table of a call, and the end of the ring that gives positions to outcomes.
pub(crate) struct KeyOrder<U, E> {
    ring: DiscardOnDrop<ChunkRing<U, E>>,
    state: DiscardOnDrop<Mutex<State<U, E>>>,
}

struct State<U, E> {
    table: KeyTable<Chunk<U, E>>,
    /// `None` once all outcomes have positions and no more will come.
    producer: Option<Producer<ChunkRing<U, E>>>,
    end: Option<End>,
}

/// States the end of the ring after the last outcome.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// The source has ended.
    Finished,
    /// The call was stopped before.
    Abandoned,
}

/// The result of a search for items whose time is up.
#[derive(Debug, Default)]
pub(crate) struct Overdue {
    /// The items that were given up.
    pub(crate) given_up: Vec<u64>,
    /// The instant at which the next item has no time left.
    pub(crate) next: Option<Instant>,
}

/// The result of a completion.
pub(crate) struct Completed<U, E> {
    /// The outcome, if it came too late.
    pub(crate) refused: Option<Chunk<U, E>>,
    /// `true` if items that were parked may start now. The caller sees to it that they do.
    pub(crate) has_opened: bool,
}

impl<U, E> KeyOrder<U, E> {
    pub(crate) fn new(
        ring: ChunkRing<U, E>,
        producer: Producer<ChunkRing<U, E>>,
        key_window: usize,
    ) -> Self {
        let (table, producer) = (KeyTable::new(ring.id(), key_window), Some(producer));
        let state = Mutex::new(State { table, producer, end: None });
        KeyOrder { ring: DiscardOnDrop::new(ring), state: DiscardOnDrop::new(state) }
    }

    /// Adds an item. If it has to wait for earlier items of its key, calls `park` with its ticket,
    /// under the lock. Returns `None` if the call was stopped.
    ///
    /// The window has room for an item with a key. An item without a key may be the panic of a
    /// source, and is refused if there is no room for it.
    pub(crate) fn admit(
        &self,
        index: u64,
        key: Option<KeyId>,
        park: impl FnOnce(KeyTicket),
    ) -> Option<Admitted> {
        let mut state = lock(&self.state);
        let State { table, producer, .. } = &mut *state;
        if key.is_none() && producer.as_mut()?.space() <= table.outstanding() {
            return None;
        }
        let admitted = table.admit(index, key)?;
        if let Admitted::Parked(ticket) = admitted {
            park(ticket);
        }
        Some(admitted)
    }

    /// Notes that an item starts now. Returns the start of the item that has run for longest.
    pub(crate) fn note_start(&self, ticket: KeyTicket, now: Instant) -> Instant {
        let table = &mut lock(&self.state).table;
        table.note_start(ticket, now);
        table.first_started().map_or(now, |(started, _)| started)
    }

    /// Returns `true` if a completion with this ticket would be accepted.
    pub(crate) fn is_wanted(&self, ticket: KeyTicket) -> bool {
        lock(&self.state).table.is_open(ticket)
    }

    /// Takes the next item that was parked and may start now.
    pub(crate) fn take_opened(&self) -> Option<KeyTicket> {
        lock(&self.state).table.take_opened()
    }

    /// Returns for each key `true` if it has no item.
    pub(crate) fn unused_keys(&self) -> Vec<bool> {
        lock(&self.state).table.unused_keys()
    }

    /// Completes an item.
    pub(crate) fn complete(&self, ticket: KeyTicket, outcome: Chunk<U, E>) -> Completed<U, E> {
        let mut state = lock(&self.state);
        let refused = state.table.complete(ticket, outcome).err();
        let has_opened = state.table.has_opened();
        self.deliver(state);
        Completed { refused, has_opened }
    }

    /// Returns the open items that started before `at`, and the start of the next one.
    pub(crate) fn started_before(&self, at: Instant) -> (Vec<KeyTicket>, Option<Instant>) {
        lock(&self.state).table.started_before(at)
    }

    /// Returns all open items. Parked ones are not open.
    pub(crate) fn open_tickets(&self) -> Vec<KeyTicket> {
        lock(&self.state).table.open_tickets()
    }

    /// Gives an open item an outcome, although a thread has the item. Returns the outcome if the
    /// item is not open.
    pub(crate) fn give_up(
        &self,
        ticket: KeyTicket,
        outcome: Chunk<U, E>,
    ) -> Result<(), Chunk<U, E>> {
        let mut state = lock(&self.state);
        let given_up = state.table.give_up(ticket, outcome);
        self.deliver(state);
        given_up
    }

    /// Gives each item that is parked an outcome, and each open one if `also_open`. Afterwards no
    /// item is admitted, and the ring ends after the last outcome.
    ///
    /// `outcome` gets `true` for an item that a thread has. `unpark` gets the slots of parked
    /// items, under the lock.
    pub(crate) fn stop(
        &self,
        also_open: bool,
        outcome: impl FnMut(bool) -> Chunk<U, E>,
        unpark: impl FnMut(u32),
    ) {
        let mut state = lock(&self.state);
        state.table.stop(also_open, outcome, unpark);
        state.end.get_or_insert(End::Abandoned);
        self.deliver(state);
    }

    /// Declares that no more items will come.
    pub(crate) fn finish(&self) {
        self.end(End::Finished);
    }

    /// Declares that no more items will come, although the source has not ended.
    pub(crate) fn abandon(&self) {
        self.end(End::Abandoned);
    }

    fn end(&self, end: End) {
        let mut state = lock(&self.state);
        state.end.get_or_insert(end);
        self.deliver(state);
    }

    /// Drops all outcomes that have no position, and accepts no more.
    pub(crate) fn close(&self) {
        let mut state = lock(&self.state);
        let left = state.table.close();
        let producer = state.producer.take();
        drop(state);
        catch_panic(|| drop(producer));
        left.into_iter().for_each(discard);
    }

    /// Gives positions to the outcomes whose turn has come, and completes them. Another thread may
    /// do so for the rest of them meanwhile.
    fn deliver<'a>(&'a self, mut state: MutexGuard<'a, State<U, E>>) {
        loop {
            let next = state.table.take_released();
            let State { table, producer, end } = &mut *state;
            let next = next.zip(producer.as_mut()).map(|((index, mut outcome), producer)| {
                outcome.index = index;
                (producer.reserve(), outcome)
            });
            let has_more = table.has_released();
            let is_over = !has_more && table.outstanding() == 0;
            let end = end.filter(|_| is_over).and_then(|end| Some((producer.take()?, end)));
            drop(state);
            if let Some((ticket, outcome)) = next {
                self.put(ticket, outcome);
            }
            if let Some((producer, end)) = end {
                // The consumer's waker may panic.
                catch_panic(|| match end {
                    End::Finished => producer.finish(),
                    End::Abandoned => drop(producer),
                });
            }
            if !has_more {
                return;
            }
            state = lock(&self.state);
        }
    }

    fn put(&self, ticket: Result<Ticket, ReserveError>, outcome: Chunk<U, E>) {
        debug_assert!(!matches!(ticket, Err(ReserveError::Full)), "the window is in the ring");
        let mut refused = None;
        match ticket {
            Ok(ticket) => catch_panic(|| {
                refused = self.ring.complete(ticket, outcome).err().map(Rejected::into_inner);
            }),
            Err(_) => refused = Some(outcome),
        }
        // The consumer has gone.
        discard(refused);
    }
}
