//! The memory of the slots: one zeroed allocation.

#[cfg(not(reorder_loom))]
use alloc::alloc::{Layout, alloc_zeroed};
use alloc::boxed::Box;
use core::marker::PhantomData;
use core::mem::ManuallyDrop;
use core::panic::{RefUnwindSafe, UnwindSafe};
use core::ptr::NonNull;

use crate::errors::CapacityError;
use crate::ring::slot::Slot;

/// The slots of a ring. Dropping them frees the memory without reading it.
pub(crate) struct Slots<T> {
    locator: SlotLocator<T>,
    owns: PhantomData<Box<[Slot<T>]>>,
}

/// The address of the slots of a ring, and the numbers to find the slot of a position.
///
/// The consumer keeps a copy. Otherwise it would load these fields through the ring again after
/// every atomic access, one dependent load after the other.
pub(crate) struct SlotLocator<T> {
    first: NonNull<Slot<T>>,
    mask: u64,
    shift: u32,
}

// SAFETY: a locator is an address. Its user has a reference to the ring of the slots, and the type
// of that reference decides what may be sent to other threads.
unsafe impl<T> Send for SlotLocator<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for SlotLocator<T> {}

// As for `Ring`.
impl<T> UnwindSafe for SlotLocator<T> {}
impl<T> RefUnwindSafe for SlotLocator<T> {}

impl<T> SlotLocator<T> {
    /// Returns the slot of a position, and the position's generation of it.
    ///
    /// # Safety
    ///
    /// The ring of these slots is borrowed or counted throughout `'a`. The slots of a ring never
    /// move and live as long as the ring.
    #[inline]
    pub(crate) unsafe fn slot<'a>(&self, position: u64) -> (&'a Slot<T>, u64) {
        let index = (position & self.mask) as usize;
        // SAFETY: `mask` is the number of slots minus one, and the masked index is at most `mask`.
        let slot = unsafe { self.first.add(index) };
        // SAFETY: the caller ensures that the slots are alive. They are only ever shared.
        (unsafe { slot.as_ref() }, position >> self.shift)
    }
}

/// Rounds a capacity up to a power of two, or returns why no ring can have it.
pub(crate) fn rounded_capacity<T>(requested: usize) -> Result<usize, CapacityError> {
    let largest = largest_capacity::<T>();
    match requested {
        0 => Err(CapacityError::Zero),
        _ if requested > largest => Err(CapacityError::TooLarge { requested, largest }),
        _ => Ok(requested.next_power_of_two()),
    }
}

/// Returns the largest capacity that fits into the address space.
fn largest_capacity<T>() -> usize {
    let largest = isize::MAX as usize / size_of::<Slot<T>>();
    // It is a power of two, so rounding a smaller capacity up does not exceed it.
    largest.checked_ilog2().map_or(0, |log| 1 << log)
}

impl<T> Slots<T> {
    fn new(slots: Box<[ManuallyDrop<Slot<T>>]>) -> Self {
        let capacity = slots.len();
        // `ManuallyDrop` has the layout of its contents.
        let first = NonNull::from(Box::leak(slots)).cast();
        let locator =
            SlotLocator { first, mask: capacity as u64 - 1, shift: capacity.trailing_zeros() };
        Slots { locator, owns: PhantomData }
    }

    /// Returns a copy of the locator.
    pub(crate) fn locator(&self) -> SlotLocator<T> {
        SlotLocator { ..self.locator }
    }

    pub(crate) fn len(&self) -> usize {
        self.locator.mask as usize + 1
    }

    /// Returns the slot of a position, and the position's generation of it.
    #[inline]
    pub(crate) fn slot(&self, position: u64) -> (&Slot<T>, u64) {
        // SAFETY: the slots are borrowed with `self`.
        unsafe { self.locator.slot(position) }
    }

    /// Returns the generation of a position.
    pub(crate) fn generation(&self, position: u64) -> u64 {
        position >> self.locator.shift
    }

    /// Allocates slots that are vacant for the positions from `first` on.
    ///
    /// `capacity` is a power of two.
    #[cfg(not(reorder_loom))]
    pub(crate) fn vacant_from(capacity: usize, first: u64) -> Result<Self, CapacityError> {
        let layout = Layout::array::<Slot<T>>(capacity).map_err(|_| CapacityError::TooLarge {
            requested: capacity,
            largest: largest_capacity::<T>(),
        })?;
        // SAFETY: the layout is not zero-sized: a slot has a tag, and the capacity is not 0.
        let memory = unsafe { alloc_zeroed(layout) };
        if memory.is_null() {
            return Err(CapacityError::OutOfMemory { capacity, bytes: layout.size() });
        }
        let slots = core::ptr::slice_from_raw_parts_mut(memory.cast(), capacity);
        // SAFETY: the memory has the layout of this slice and no other owner. It is initialised as
        // far as it has to be: a zeroed tag is `Vacant` in generation 0, without a value.
        let mut slots: Box<[ManuallyDrop<Slot<T>>]> = unsafe { Box::from_raw(slots) };
        if first != 0 {
            for (index, slot) in slots.iter_mut().enumerate() {
                *slot = vacant_slot(capacity, first, index);
            }
        }
        Ok(Slots::new(slots))
    }

    /// Makes the slots one by one, since loom's atomics cannot be zeroed memory.
    #[cfg(reorder_loom)]
    pub(crate) fn vacant_from(capacity: usize, first: u64) -> Result<Self, CapacityError> {
        Ok(Slots::new((0..capacity).map(|index| vacant_slot(capacity, first, index)).collect()))
    }

    /// Drops the values that are left in the slots. If the drop of a value panics, the others are
    /// dropped nevertheless.
    ///
    /// # Safety
    ///
    /// No slot is used after the call.
    pub(crate) unsafe fn drop_values(&mut self) {
        // SAFETY: `&mut self` excludes every other access, and the caller ensures that none
        // follows.
        unsafe { self.all().drop_in_place() };
    }

    fn all(&self) -> NonNull<[Slot<T>]> {
        NonNull::slice_from_raw_parts(self.locator.first, self.len())
    }
}

impl<T> Drop for Slots<T> {
    fn drop(&mut self) {
        let slots = self.all().as_ptr() as *mut [ManuallyDrop<Slot<T>>];
        // SAFETY: `new` leaked such a box, and no reference to it is left.
        drop(unsafe { Box::from_raw(slots) });
    }
}

/// Returns the slot at `index`, vacant for its first position from `first` on.
fn vacant_slot<T>(capacity: usize, first: u64, index: usize) -> ManuallyDrop<Slot<T>> {
    let capacity = capacity as u64;
    let ahead = (index as u64).wrapping_sub(first) & (capacity - 1);
    ManuallyDrop::new(Slot::vacant((first + ahead) / capacity))
}
