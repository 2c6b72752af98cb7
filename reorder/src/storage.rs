//! The memory of the slots: one allocation, zeroed, and usable at once.

#[cfg(not(reorder_loom))]
use alloc::alloc::{Layout, alloc_zeroed};
use alloc::boxed::Box;
use core::marker::PhantomData;
use core::mem::ManuallyDrop;
use core::panic::{RefUnwindSafe, UnwindSafe};
use core::ptr::NonNull;

use crate::errors::CapacityError;
use crate::slot::Slot;

/// The slots of a ring. Dropping them frees the memory alone, and does not even read it.
pub(crate) struct Slots<T> {
    places: Places<T>,
    owns: PhantomData<Box<[Slot<T>]>>,
}

/// Where the slots of a ring lie, and how to find that of a position. The consumer keeps a copy: what it
/// would read through the ring instead, it would read anew after every atomic access, one load
/// behind the other.
pub(crate) struct Places<T> {
    first: NonNull<Slot<T>>,
    mask: u64,
    shift: u32,
}

// SAFETY: it is an address. Whoever uses it vouches for the slots, by means of a reference to their
// ring, and that reference decides what may cross threads.
unsafe impl<T> Send for Places<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for Places<T> {}

// As for `Ring`.
impl<T> UnwindSafe for Places<T> {}
impl<T> RefUnwindSafe for Places<T> {}

impl<T> Places<T> {
    /// The slot of a position, and the generation in which it is that position's.
    ///
    /// # Safety
    ///
    /// The ring of these slots is borrowed or counted throughout `'a`. (Slots never move: they are
    /// one allocation, as old as their ring.)
    #[inline]
    pub(crate) unsafe fn slot<'a>(&self, position: u64) -> (&'a Slot<T>, u64) {
        let index = (position & self.mask) as usize;
        // SAFETY: `mask` is one less than the number of slots, and masking by it cannot exceed it.
        let slot = unsafe { self.first.add(index) };
        // SAFETY: the caller vouches for the slots, which are only ever shared.
        (unsafe { slot.as_ref() }, position >> self.shift)
    }
}

/// The capacity that a ring gets, if it can have one: a power of two.
pub(crate) fn rounded_capacity<T>(requested: usize) -> Result<usize, CapacityError> {
    let largest = largest_capacity::<T>();
    match requested {
        0 => Err(CapacityError::Zero),
        _ if requested > largest => Err(CapacityError::TooLarge { requested, largest }),
        _ => Ok(requested.next_power_of_two()),
    }
}

/// The largest capacity that fits into the address space.
fn largest_capacity<T>() -> usize {
    let largest = isize::MAX as usize / size_of::<Slot<T>>();
    // A power of two, so that rounding up cannot leave the bounds.
    largest.checked_ilog2().map_or(0, |log| 1 << log)
}

impl<T> Slots<T> {
    fn new(slots: Box<[ManuallyDrop<Slot<T>>]>) -> Self {
        let capacity = slots.len();
        // `ManuallyDrop` changes no layout.
        let first = NonNull::from(Box::leak(slots)).cast();
        let places = Places { first, mask: capacity as u64 - 1, shift: capacity.trailing_zeros() };
        Slots { places, owns: PhantomData }
    }

    pub(crate) fn places(&self) -> Places<T> {
        Places { ..self.places }
    }

    pub(crate) fn len(&self) -> usize {
        self.places.mask as usize + 1
    }

    /// The slot of a position, and the generation in which it is that position's.
    #[inline]
    pub(crate) fn of(&self, position: u64) -> (&Slot<T>, u64) {
        // SAFETY: the slots are borrowed with `self`.
        unsafe { self.places.slot(position) }
    }

    pub(crate) fn generation(&self, position: u64) -> u64 {
        position >> self.places.shift
    }

    /// Slots that are armed for the positions from `first` on. `capacity` is a power of two.
    #[cfg(not(reorder_loom))]
    pub(crate) fn armed(capacity: usize, first: u64) -> Result<Self, CapacityError> {
        let layout = Layout::array::<Slot<T>>(capacity).map_err(|_| CapacityError::TooLarge {
            requested: capacity,
            largest: largest_capacity::<T>(),
        })?;
        // SAFETY: a slot is never zero-sized, for it has a tag, and the capacity is not 0.
        let memory = unsafe { alloc_zeroed(layout) };
        if memory.is_null() {
            return Err(CapacityError::OutOfMemory { bytes: layout.size() });
        }
        let slots = core::ptr::slice_from_raw_parts_mut(memory.cast(), capacity);
        // SAFETY: the memory has the layout of this slice, is owned by nobody else, and is valid: a
        // zeroed tag is generation 0, vacant, and the value beside it may be uninitialised.
        let mut slots: Box<[ManuallyDrop<Slot<T>>]> = unsafe { Box::from_raw(slots) };
        if first != 0 {
            for (index, slot) in slots.iter_mut().enumerate() {
                *slot = armed_slot(capacity, first, index);
            }
        }
        Ok(Slots::new(slots))
    }

    /// Loom's atomics have to be made one by one.
    #[cfg(reorder_loom)]
    pub(crate) fn armed(capacity: usize, first: u64) -> Result<Self, CapacityError> {
        Ok(Slots::new((0..capacity).map(|index| armed_slot(capacity, first, index)).collect()))
    }

    /// Drops the values that are left in the slots. The rest of them goes on if one of these panics.
    ///
    /// # Safety
    ///
    /// No slot is used any more.
    pub(crate) unsafe fn drop_values(&mut self) {
        // SAFETY: `&mut self` is alone with the slots, and the caller vouches for this being the end.
        unsafe { self.all().drop_in_place() };
    }

    fn all(&self) -> NonNull<[Slot<T>]> {
        NonNull::slice_from_raw_parts(self.places.first, self.len())
    }
}

impl<T> Drop for Slots<T> {
    fn drop(&mut self) {
        let slots = self.all().as_ptr() as *mut [ManuallyDrop<Slot<T>>];
        // SAFETY: the memory was that of such a box, and nothing refers to it any more.
        drop(unsafe { Box::from_raw(slots) });
    }
}

/// The slot at `index`, armed for the first position from `first` on that lives there.
fn armed_slot<T>(capacity: usize, first: u64, index: usize) -> ManuallyDrop<Slot<T>> {
    let capacity = capacity as u64;
    let ahead = (index as u64).wrapping_sub(first) & (capacity - 1);
    ManuallyDrop::new(Slot::armed((first + ahead) / capacity))
}
