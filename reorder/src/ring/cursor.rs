//! The place of the consumer: the slot of the head as an address, and the tag of a value there.
//!
//! ```text
//!   slots of the ring:   | 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7 |
//!                              ^           ^             ^
//!                            slot        stop           end
//! ```
//!
//! Each take moves the cursor to the next slot. So a take computes neither slot nor generation from
//! a position, and compares the slot with the *stop* alone. The cursor stops at the end of the
//! slots, and starts again with the next generation. In a split batch it also stops after the first
//! half of the slots, because the consumer looks for a waiting producer once per half window.

use core::panic::{RefUnwindSafe, UnwindSafe};
use core::ptr::NonNull;

use crate::ring::slot::Slot;
use crate::ring::slots::Slots;
use crate::ring::tag::{State, Tag};

/// The next position to take, as a place in the memory of the slots.
pub(crate) struct Cursor<T> {
    /// A slot of the ring, never the end of the slots.
    slot: NonNull<Slot<T>>,
    /// The slot before which the cursor stops, or the end of the slots. It comes after `slot`.
    stop: NonNull<Slot<T>>,
    /// The tag of the slot if the value of the position may be taken.
    ready: Tag,
    /// The position minus the number of the place. It is the same for a whole generation.
    offset: u64,
    /// The batch is split.
    stops_at_half: bool,
}

/// The address of a cursor's slot. A take passes it on, because the compiler would load it from the
/// cursor again after each atomic access.
pub(crate) struct Place<T>(NonNull<Slot<T>>);

impl<T> Place<T> {
    /// Returns the slot.
    ///
    /// # Safety
    ///
    /// The ring of the slot is borrowed or counted throughout `'a`.
    #[inline]
    pub(crate) unsafe fn slot<'a>(&self) -> &'a Slot<T> {
        // SAFETY: the caller ensures that the ring is alive. Its slots never move, and are only
        // ever shared.
        unsafe { self.0.as_ref() }
    }

    /// Returns a number of the slot. The number of the next slot is one more.
    #[inline]
    fn number(&self) -> u64 {
        (self.0.addr().get() / size_of::<Slot<T>>()) as u64
    }
}

// SAFETY: a cursor is an address. Its user has a reference to the ring of the slots, and the type
// of that reference decides what may be sent to other threads.
unsafe impl<T> Send for Cursor<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for Cursor<T> {}

// As for `Ring`.
impl<T> UnwindSafe for Cursor<T> {}
impl<T> RefUnwindSafe for Cursor<T> {}

impl<T> Cursor<T> {
    /// Returns the cursor of a position, which stops at the end of the slots.
    pub(crate) fn new(slots: &Slots<T>, position: u64) -> Self {
        let place = Place(slots.address(position));
        Cursor {
            slot: place.0,
            stop: slots.end(),
            ready: Tag::new(slots.generation(position), State::Ready),
            offset: position.wrapping_sub(place.number()),
            stops_at_half: false,
        }
    }

    /// Makes the cursor stop after the first half of the slots, too.
    ///
    /// # Safety
    ///
    /// `slots` are the slots of the cursor.
    pub(crate) unsafe fn stop_at_half(&mut self, slots: &Slots<T>) {
        self.stops_at_half = true;
        self.find_stop(slots);
    }

    /// Returns the place.
    #[inline]
    pub(crate) fn place(&self) -> Place<T> {
        debug_assert!(self.slot != self.stop, "the cursor did not leave its stop");
        Place(self.slot)
    }

    /// Returns the tag of the slot if the value of the position may be taken.
    #[inline]
    pub(crate) fn ready(&self) -> Tag {
        self.ready
    }

    /// Returns the position.
    #[inline]
    pub(crate) fn position(&self) -> u64 {
        self.position_at(&self.place())
    }

    /// Returns the position. `place` is the place of the cursor.
    #[inline]
    pub(crate) fn position_at(&self, place: &Place<T>) -> u64 {
        self.offset.wrapping_add(place.number())
    }

    /// Moves to the next position. Returns `true` at a stop.
    ///
    /// # Safety
    ///
    /// `place` is the place of the cursor. At a stop, the caller calls [`turn`](Cursor::turn) next.
    #[inline]
    pub(crate) unsafe fn advance(&mut self, place: Place<T>) -> bool {
        // SAFETY: the address after a slot is a slot, or the end of the slots.
        self.slot = unsafe { place.0.add(1) };
        self.slot == self.stop
    }

    /// Leaves a stop: starts again if it is the end of the slots, and finds the next stop.
    ///
    /// # Safety
    ///
    /// `slots` are the slots of the cursor.
    pub(crate) unsafe fn turn(&mut self, slots: &Slots<T>) {
        if self.slot == slots.end() {
            self.slot = slots.address(0);
            self.ready = Tag::new(self.ready.generation() + 1, State::Ready);
            self.offset = self.offset.wrapping_add(slots.len() as u64);
        }
        self.find_stop(slots);
    }

    /// Sets the stop to the next one after the slot.
    fn find_stop(&mut self, slots: &Slots<T>) {
        let half = slots.half();
        self.stop = if self.stops_at_half && self.slot < half { half } else { slots.end() };
    }
}

#[cfg(all(test, not(reorder_loom)))]
mod tests {
    use super::*;
    use crate::ring::tag::GENERATIONS;

    /// Moves the cursor through some generations, from different positions on.
    fn walk<T>(capacity: usize, first: u64, steps: u64, split: bool) {
        let slots = Slots::<T>::vacant_from(capacity, first).unwrap();
        let mut cursor = Cursor::new(&slots, first);
        if split {
            // SAFETY: the slots are the slots of the cursor.
            unsafe { cursor.stop_at_half(&slots) };
        }
        let distance = if split { (capacity / 2).max(1) } else { capacity } as u64;
        for position in first..first + steps {
            let place = cursor.place();
            assert_eq!(place.0, slots.address(position));
            assert_eq!(cursor.ready(), Tag::new(slots.generation(position), State::Ready));
            assert_eq!(cursor.position(), position);
            // SAFETY: it is the place of the cursor, and a stop is left below.
            let stopped = unsafe { cursor.advance(place) };
            if stopped {
                // SAFETY: the slots are the slots of the cursor.
                unsafe { cursor.turn(&slots) };
            }
            assert_eq!(stopped, (position + 1) % distance == 0, "{capacity} slots, {position}");
        }
        assert_eq!(cursor.position(), first + steps);
    }

    #[test]
    fn a_cursor_is_at_the_slot_and_the_tag_of_its_position() {
        for capacity in [1, 2, 4, 16] {
            for split in [false, true] {
                let end = GENERATIONS - capacity as u64;
                for (first, steps) in [(0, 50), (7, 50), (end - 20, 20), (end, 0)] {
                    walk::<()>(capacity, first, steps, split);
                    walk::<u64>(capacity, first, steps, split);
                    walk::<[u64; 2]>(capacity, first, steps, split);
                    walk::<[u8; 100]>(capacity, first, steps, split);
                }
            }
        }
    }
}
