//! The outstanding items of a call that orders its outcomes by key: a state machine.
//!
//! | from | to | when |
//! |---|---|---|
//! | free | open | the item is admitted, and its key has room |
//! | free | parked | the item is admitted, and the window of its key is full |
//! | parked | open | an item before it leaves the window of the key |
//! | open | done | the thread that has the item completes it |
//! | open | given up | the consumer gives the item up; a thread still has the item |
//! | parked | done | the call was stopped, or the item was completed without a start |
//! | done | free | all earlier items of the key were released: this item is released, too |
//! | given up | gone | the same, but the thread still has the item |
//! | given up | done | the thread completes the item, and its outcome is refused |
//! | gone | free | the same |
//!
//! The items of a key are a list, in the order of their indices. The parked ones are its end. An
//! item counts in the window of its key from `open` until it is free.
//!
//! The state machine has no lock, reads no clock, and runs no user code.

use std::collections::VecDeque;
use std::mem;
use std::time::Instant;

use reorder_ring::RingId;

/// The number of a key while the source knows the key.
pub(crate) type KeyId = u32;

/// The number of a slot that does not exist.
const NONE: u32 = u32::MAX;

/// The right to complete an item of a keyed call. A second completion is refused, and so is a
/// ticket of another call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeyTicket {
    /// The identity of the ring of the call.
    pub(crate) ring: RingId,
    /// The place of the item. Its number is below the maximum number of outstanding items, plus
    /// the number of items that threads have although they were given up.
    pub(crate) slot: u32,
    /// The index of the item. It tells items with the same slot apart.
    pub(crate) index: u64,
}

struct Slot<O> {
    index: u64,
    /// `NONE` if the item has no key.
    key: KeyId,
    /// The next item of the key, or the next free slot.
    next: u32,
    state: State<O>,
}

enum State<O> {
    Free,
    Parked,
    Open,
    Done(O),
    GivenUp(O),
    Gone,
}

#[derive(Clone)]
struct Key {
    /// The first item that was not released.
    first: u32,
    last: u32,
    first_parked: u32,
    /// The number of items in the window of the key.
    active: usize,
    /// The number of items that have a slot.
    slots: usize,
}

/// The outstanding items of a call, and the outcomes that wait for earlier items of their key.
pub(crate) struct KeyTable<O> {
    /// The identity of the ring of the call, which the tickets have.
    ring: RingId,
    slots: Vec<Slot<O>>,
    first_free: u32,
    keys: Vec<Key>,
    /// The maximum number of items of a key that are open, done or given up.
    key_window: usize,
    /// The outcomes whose turn has come.
    released: VecDeque<(u64, O)>,
    /// The items that were parked and are open now, before a thread takes them.
    opened: VecDeque<KeyTicket>,
    /// The number of items whose outcomes were not released.
    outstanding: usize,
    is_stopped: bool,
    /// The items that have started, and when, in this order. Only for calls with a time-out.
    started: VecDeque<(Instant, KeyTicket)>,
}

/// The answer to an admission.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Admitted {
    /// The item may start.
    Open(KeyTicket),
    /// The item waits for earlier items of its key.
    Parked(KeyTicket),
}

impl<O> KeyTable<O> {
    /// Returns a table of the call that has this ring. At most `key_window` items of a key are
    /// open, done or given up.
    pub(crate) fn new(ring: RingId, key_window: usize) -> Self {
        KeyTable {
            ring,
            slots: Vec::new(),
            first_free: NONE,
            keys: Vec::new(),
            key_window,
            released: VecDeque::new(),
            opened: VecDeque::new(),
            outstanding: 0,
            is_stopped: false,
            started: VecDeque::new(),
        }
    }

    /// Returns the number of items whose outcomes were not released.
    pub(crate) fn outstanding(&self) -> usize {
        self.outstanding
    }

    /// Adds an item. An item without a key waits for no other. Returns `None` if the call was
    /// stopped.
    ///
    /// Indices increase from call to call. Unless the item is parked, the calling
    /// thread has it now.
    pub(crate) fn admit(&mut self, index: u64, key: Option<KeyId>) -> Option<Admitted> {
        if self.is_stopped {
            return None;
        }
        let slot = self.take_slot(index, key.unwrap_or(NONE));
        let ticket = KeyTicket { ring: self.ring, slot, index };
        self.outstanding += 1;
        let Some(key) = key else { return Some(Admitted::Open(ticket)) };
        let missing = (key as usize + 1).saturating_sub(self.keys.len());
        let unused = Key { first: NONE, last: NONE, first_parked: NONE, active: 0, slots: 0 };
        self.keys.extend(std::iter::repeat_n(unused, missing));
        let key = &mut self.keys[key as usize];
        match mem::replace(&mut key.last, slot) {
            NONE => key.first = slot,
            last => self.slots[last as usize].next = slot,
        }
        key.slots += 1;
        if key.active < self.key_window {
            key.active += 1;
            return Some(Admitted::Open(ticket));
        }
        if key.first_parked == NONE {
            key.first_parked = slot;
        }
        self.slots[slot as usize].state = State::Parked;
        Some(Admitted::Parked(ticket))
    }

    fn take_slot(&mut self, index: u64, key: KeyId) -> u32 {
        let new = Slot { index, key, next: NONE, state: State::Open };
        if self.first_free == NONE {
            self.slots.push(new);
            return (self.slots.len() - 1) as u32;
        }
        let slot = self.first_free;
        self.first_free = mem::replace(&mut self.slots[slot as usize], new).next;
        slot
    }

    /// Notes that an item starts now.
    pub(crate) fn note_start(&mut self, ticket: KeyTicket, now: Instant) {
        self.forget_ended_starts();
        self.started.push_back((now, ticket));
        if self.started.len() > 2 * self.slots.len() + 16 {
            // Each pass removes at least half of them: at most one for each slot is open.
            let mut started = mem::take(&mut self.started);
            started.retain(|&(_, ticket)| self.is_open(ticket));
            self.started = started;
        }
    }

    fn forget_ended_starts(&mut self) {
        while self.started.front().is_some_and(|&(_, ticket)| !self.is_open(ticket)) {
            self.started.pop_front();
        }
    }

    /// Returns the items that started before `at` and are open, in the order of their starts. Then
    /// returns the start of the next one.
    pub(crate) fn started_before(&mut self, at: Instant) -> (Vec<KeyTicket>, Option<Instant>) {
        self.forget_ended_starts();
        let mut tickets = Vec::new();
        for &(started, ticket) in &self.started {
            if !self.is_open(ticket) {
                continue;
            }
            if started >= at {
                return (tickets, Some(started));
            }
            tickets.push(ticket);
        }
        (tickets, None)
    }

    /// Returns all open items. Parked ones are not open.
    pub(crate) fn open_tickets(&self) -> Vec<KeyTicket> {
        let slots = self.slots.iter().enumerate();
        let open = slots.filter(|(_, slot)| matches!(slot.state, State::Open));
        let ring = self.ring;
        open.map(|(slot, it)| KeyTicket { ring, slot: slot as u32, index: it.index }).collect()
    }

    /// Returns the open item that started first, and when it started.
    pub(crate) fn first_started(&mut self) -> Option<(Instant, KeyTicket)> {
        self.forget_ended_starts();
        self.started.front().copied()
    }

    /// Returns `true` if a completion with this ticket would be accepted.
    pub(crate) fn is_open(&self, ticket: KeyTicket) -> bool {
        self.slot(ticket).is_some_and(|slot| matches!(slot.state, State::Open | State::Parked))
    }

    /// Returns the slot of the item, if the ticket is of this call, and the item has one.
    fn slot(&self, ticket: KeyTicket) -> Option<&Slot<O>> {
        let slot = self.slots.get(ticket.slot as usize)?;
        (self.ring == ticket.ring && slot.index == ticket.index).then_some(slot)
    }

    /// As `slot`, to change it.
    fn slot_mut(&mut self, ticket: KeyTicket) -> Option<&mut Slot<O>> {
        let slot = self.slots.get_mut(ticket.slot as usize)?;
        (self.ring == ticket.ring && slot.index == ticket.index).then_some(slot)
    }

    /// Completes an item. Returns the outcome if the item has one already, or was given up.
    pub(crate) fn complete(&mut self, ticket: KeyTicket, outcome: O) -> Result<(), O> {
        let Some(slot) = self.slot_mut(ticket) else { return Err(outcome) };
        match mem::replace(&mut slot.state, State::Gone) {
            state @ (State::Open | State::Parked) => {
                slot.state = State::Done(outcome);
                if matches!(state, State::Parked) {
                    let key = slot.key as usize;
                    // It was in no window, which it leaves with its slot.
                    self.keys[key].active += 1;
                    self.keys[key].first_parked = self.parked_from(self.keys[key].first_parked);
                }
                self.release_from(ticket.slot);
                Ok(())
            }
            State::GivenUp(given_up) => {
                slot.state = State::Done(given_up);
                Err(outcome)
            }
            State::Gone => {
                let key = slot.key;
                self.free(ticket.slot);
                self.open_parked(key);
                Err(outcome)
            }
            other => {
                slot.state = other;
                Err(outcome)
            }
        }
    }

    /// Gives an open item an outcome, although a thread still has the item. Returns the outcome if
    /// the item is not open.
    pub(crate) fn give_up(&mut self, ticket: KeyTicket, outcome: O) -> Result<(), O> {
        let slot = self.slot_mut(ticket).filter(|slot| matches!(slot.state, State::Open));
        let Some(slot) = slot else { return Err(outcome) };
        slot.state = State::GivenUp(outcome);
        self.release_from(ticket.slot);
        Ok(())
    }

    /// Gives each item that is parked an outcome, and each open one if `also_open`. Afterwards no
    /// item is admitted. `outcome` gets `true` for an item that a thread has.
    ///
    /// Calls `parked` with the slots of parked items.
    pub(crate) fn stop(
        &mut self,
        also_open: bool,
        mut outcome: impl FnMut(bool) -> O,
        mut parked: impl FnMut(u32),
    ) {
        self.is_stopped = true;
        // Their items are still where the parked ones are.
        for ticket in mem::take(&mut self.opened) {
            if !self.is_open(ticket) {
                continue;
            }
            self.slots[ticket.slot as usize].state = State::Done(outcome(false));
            parked(ticket.slot);
        }
        for (number, slot) in self.slots.iter_mut().enumerate() {
            match slot.state {
                State::Parked => {
                    slot.state = State::Done(outcome(false));
                    parked(number as u32);
                    // It was in no window, which it leaves with its slot.
                    self.keys[slot.key as usize].active += 1;
                }
                State::Open if also_open => slot.state = State::GivenUp(outcome(true)),
                _ => {}
            }
        }
        for key in &mut self.keys {
            key.first_parked = NONE;
        }
        for key in 0..self.keys.len() {
            if self.keys[key].first != NONE {
                self.release_from(self.keys[key].first);
            }
        }
        let unkeyed = |slot: &Slot<O>| slot.key == NONE && matches!(slot.state, State::GivenUp(_));
        for slot in 0..self.slots.len() {
            if unkeyed(&self.slots[slot]) {
                self.release(slot as u32);
            }
        }
    }

    /// Removes all outcomes that were not released, and admits no more items.
    pub(crate) fn close(&mut self) -> Vec<O> {
        self.is_stopped = true;
        self.keys.clear();
        self.opened.clear();
        self.started.clear();
        self.first_free = NONE;
        self.outstanding = 0;
        let mut left: Vec<O> = mem::take(&mut self.released).into_iter().map(|it| it.1).collect();
        for slot in &mut self.slots {
            // A late completion finds another index.
            slot.index = u64::MAX;
            if let State::Done(outcome) | State::GivenUp(outcome) =
                mem::replace(&mut slot.state, State::Free)
            {
                left.push(outcome);
            }
        }
        left
    }

    /// Releases the outcomes whose turn has come, if `slot` is the first of its key.
    fn release_from(&mut self, slot: u32) {
        let key = self.slots[slot as usize].key;
        if key == NONE {
            self.release(slot);
            return;
        }
        let mut next = slot;
        while next != NONE
            && self.keys[key as usize].first == next
            && matches!(self.slots[next as usize].state, State::Done(_) | State::GivenUp(_))
        {
            let after = self.slots[next as usize].next;
            let state = &mut self.keys[key as usize];
            state.first = after;
            if after == NONE {
                state.last = NONE;
            }
            self.release(next);
            next = after;
        }
        self.open_parked(key);
    }

    fn release(&mut self, number: u32) {
        let slot = &mut self.slots[number as usize];
        let index = slot.index;
        match mem::replace(&mut slot.state, State::Gone) {
            State::Done(outcome) => {
                self.released.push_back((index, outcome));
                self.free(number);
            }
            State::GivenUp(outcome) => self.released.push_back((index, outcome)),
            _ => unreachable!("only items with an outcome are released"),
        }
        self.outstanding -= 1;
    }

    /// Frees the slot of an item that was released and that no thread has.
    fn free(&mut self, number: u32) {
        let slot = &mut self.slots[number as usize];
        let key = slot.key;
        // No ticket has this index.
        (slot.index, slot.state) = (u64::MAX, State::Free);
        slot.next = mem::replace(&mut self.first_free, number);
        if let Some(key) = self.keys.get_mut(key as usize) {
            key.active -= 1;
            key.slots -= 1;
        }
    }

    /// Returns the first parked item of a key, from this slot on.
    fn parked_from(&self, mut number: u32) -> u32 {
        while number != NONE && !matches!(self.slots[number as usize].state, State::Parked) {
            number = self.slots[number as usize].next;
        }
        number
    }

    /// Opens parked items while the window of their key has room.
    fn open_parked(&mut self, key: KeyId) {
        let key = key as usize;
        while let Some(&Key { first_parked: number, active, .. }) = self.keys.get(key) {
            if number == NONE || active >= self.key_window {
                return;
            }
            let slot = &mut self.slots[number as usize];
            slot.state = State::Open;
            let ticket = KeyTicket { ring: self.ring, slot: number, index: slot.index };
            let next = slot.next;
            self.keys[key].active += 1;
            self.keys[key].first_parked = self.parked_from(next);
            self.opened.push_back(ticket);
        }
    }

    /// Takes the next outcome whose turn has come, with the index of its item.
    pub(crate) fn take_released(&mut self) -> Option<(u64, O)> {
        self.released.pop_front()
    }

    pub(crate) fn has_released(&self) -> bool {
        !self.released.is_empty()
    }

    /// Takes the next item that was parked and may start now. From now on, a thread has it.
    pub(crate) fn take_opened(&mut self) -> Option<KeyTicket> {
        self.opened.pop_front()
    }

    pub(crate) fn has_opened(&self) -> bool {
        !self.opened.is_empty()
    }

    /// Returns for each key `true` if it has no item.
    pub(crate) fn unused_keys(&self) -> Vec<bool> {
        self.keys.iter().map(|key| key.slots == 0).collect()
    }
}

#[cfg(test)]
mod tests;
