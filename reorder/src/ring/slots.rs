//! The memory of the slots: one zeroed allocation.

#[cfg(not(reorder_loom))]
use alloc::alloc::{Layout, alloc_zeroed};
use alloc::boxed::Box;
use core::marker::PhantomData;
use core::mem::ManuallyDrop;
use core::ptr::NonNull;

use crate::errors::CapacityError;
use crate::ring::slot::Slot;

/// The slots of a ring. Dropping them frees the memory without reading it.
pub(crate) struct Slots<T> {
    first: NonNull<Slot<T>>,
    mask: u64,
    shift: u32,
    owns: PhantomData<Box<[Slot<T>]>>,
}

// SAFETY: the slots are owned as by a box, and `Slot<T>` is `Send` if `T` is.
unsafe impl<T: Send> Send for Slots<T> {}
// SAFETY: the slots are shared as by a box, and `Slot<T>` is `Sync` if `T` is `Send`.
unsafe impl<T: Send> Sync for Slots<T> {}

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
        let (mask, shift) = (capacity as u64 - 1, capacity.trailing_zeros());
        Slots { first, mask, shift, owns: PhantomData }
    }

    pub(crate) fn len(&self) -> usize {
        self.mask as usize + 1
    }

    /// Returns the address of the slot of a position.
    #[inline]
    pub(crate) fn address(&self, position: u64) -> NonNull<Slot<T>> {
        let index = (position & self.mask) as usize;
        // SAFETY: `mask` is the number of slots minus one, and the masked index is at most `mask`.
        unsafe { self.first.add(index) }
    }

    /// Returns the address after the first half of the slots: the first slot, if there is no other.
    pub(crate) fn half(&self) -> NonNull<Slot<T>> {
        self.address(self.len() as u64 / 2)
    }

    /// Returns the address after the last slot.
    pub(crate) fn end(&self) -> NonNull<Slot<T>> {
        // SAFETY: the address after the last slot is the end of the allocation.
        unsafe { self.first.add(self.len()) }
    }

    /// Returns the slot of a position, and the position's generation of it.
    #[inline]
    pub(crate) fn slot(&self, position: u64) -> (&Slot<T>, u64) {
        // SAFETY: the slots are borrowed with `self`, and they are only ever shared.
        (unsafe { self.address(position).as_ref() }, self.generation(position))
    }

    /// Returns the generation of a position.
    #[inline]
    pub(crate) fn generation(&self, position: u64) -> u64 {
        position >> self.shift
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
        NonNull::slice_from_raw_parts(self.first, self.len())
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
