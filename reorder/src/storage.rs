//! The memory of the slots: one allocation, zeroed, and usable at once.

#[cfg(not(reorder_loom))]
use alloc::alloc::{Layout, alloc_zeroed};
use alloc::boxed::Box;

use crate::errors::CapacityError;
use crate::slot::Slot;

/// The largest capacity that fits into the address space.
pub(crate) fn largest_capacity<T>() -> usize {
    let largest = isize::MAX as usize / size_of::<Slot<T>>();
    // A power of two, so that rounding up cannot leave the bounds.
    largest.checked_ilog2().map_or(0, |log| 1 << log)
}

/// Slots that are armed for the positions from `first` on. `capacity` is a power of two.
#[cfg(not(reorder_loom))]
pub(crate) fn armed_slots<T>(capacity: usize, first: u64) -> Result<Box<[Slot<T>]>, CapacityError> {
    let layout = Layout::array::<Slot<T>>(capacity).map_err(|_| CapacityError::TooLarge {
        requested: capacity,
        largest: largest_capacity::<T>(),
    })?;
    // SAFETY: a slot is never zero-sized, for it has a tag, and the capacity is not 0.
    let memory = unsafe { alloc_zeroed(layout) };
    if memory.is_null() {
        return Err(CapacityError::OutOfMemory { bytes: layout.size() });
    }
    let slots = core::ptr::slice_from_raw_parts_mut(memory.cast::<Slot<T>>(), capacity);
    // SAFETY: the memory has the layout of this slice, is owned by nobody else, and is valid: a
    // zeroed tag is generation 0, vacant, and the value beside it may be uninitialised.
    let mut slots = unsafe { Box::from_raw(slots) };
    if first != 0 {
        for (index, slot) in slots.iter_mut().enumerate() {
            *slot = armed_slot(capacity, first, index);
        }
    }
    Ok(slots)
}

/// Loom's atomics have to be made one by one.
#[cfg(reorder_loom)]
pub(crate) fn armed_slots<T>(capacity: usize, first: u64) -> Result<Box<[Slot<T>]>, CapacityError> {
    Ok((0..capacity).map(|index| armed_slot(capacity, first, index)).collect())
}

/// The slot at `index`, armed for the first position from `first` on that lives there.
fn armed_slot<T>(capacity: usize, first: u64, index: usize) -> Slot<T> {
    let capacity = capacity as u64;
    let ahead = (index as u64).wrapping_sub(first) & (capacity - 1);
    Slot::armed((first + ahead) / capacity)
}
