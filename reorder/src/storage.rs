//! The memory of the slots: one allocation, zeroed, and usable at once.

#[cfg(not(reorder_loom))]
use alloc::alloc::{Layout, alloc_zeroed};
use alloc::boxed::Box;
use core::mem::ManuallyDrop;
use core::ops::Deref;

use crate::errors::CapacityError;
use crate::slot::Slot;

/// The slots of a ring. Dropping them frees the memory alone, and does not even read it.
pub(crate) struct Slots<T>(Box<[ManuallyDrop<Slot<T>>]>);

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
        Ok(Slots(slots))
    }

    /// Loom's atomics have to be made one by one.
    #[cfg(reorder_loom)]
    pub(crate) fn armed(capacity: usize, first: u64) -> Result<Self, CapacityError> {
        Ok(Slots((0..capacity).map(|index| armed_slot(capacity, first, index)).collect()))
    }

    /// Drops the slots with the values that are left in them. No slot is left.
    pub(crate) fn drop_values(&mut self) {
        let slots = Box::into_raw(core::mem::take(&mut self.0)) as *mut [Slot<T>];
        // SAFETY: `ManuallyDrop` changes no layout, and the box gets its own memory back.
        drop(unsafe { Box::from_raw(slots) });
    }
}

impl<T> Deref for Slots<T> {
    type Target = [ManuallyDrop<Slot<T>>];

    #[inline]
    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

/// The slot at `index`, armed for the first position from `first` on that lives there.
fn armed_slot<T>(capacity: usize, first: u64, index: usize) -> ManuallyDrop<Slot<T>> {
    let capacity = capacity as u64;
    let ahead = (index as u64).wrapping_sub(first) & (capacity - 1);
    ManuallyDrop::new(Slot::armed((first + ahead) / capacity))
}
