//! The output buffer of a batch. A place holds an item first, and then its result.
//!
//! Many threads reach the places by index. All `unsafe` code on items and results of a batch is
//! here and at the call sites in `source` and `parallel`, which visit each index once.

use std::cell::{Cell, UnsafeCell};
use std::mem::{ManuallyDrop, MaybeUninit};

use crate::memory;
use crate::unwind::discard;

type Row<T> = Vec<UnsafeCell<MaybeUninit<T>>>;

/// A buffer of places. Dropping it leaks the values in it.
pub(crate) struct Output<I, U> {
    results: Row<U>,
    /// Empty if the items lie in the places of the results: touching less memory is cheaper.
    items: Row<I>,
}

// SAFETY: one thread at a time visits an index. Items and results are sent between threads, and no
// two threads see one item, so they need not be `Sync`.
unsafe impl<I: Send, U: Send> Sync for Output<I, U> {}

/// # Panics
///
/// If there is no memory for the row.
fn row<T>(len: usize) -> Row<T> {
    let mut row = memory::with_capacity(len);
    // SAFETY: the capacity is there, and a place without a value is a valid place.
    unsafe { row.set_len(len) };
    row
}

/// The index that a loop has reached. It stays in a register, and is written to `last` when the
/// loop or a panic ends.
pub(crate) struct Reached<'a> {
    pub(crate) index: usize,
    pub(crate) last: &'a Cell<usize>,
}

impl Drop for Reached<'_> {
    fn drop(&mut self) {
        self.last.set(self.index);
    }
}

impl<I, U> Output<I, U> {
    const SHARED: bool = size_of::<I>() <= size_of::<U>() && align_of::<I>() <= align_of::<U>();

    /// # Panics
    ///
    /// If there is no memory for the buffer.
    pub(crate) fn new(len: usize) -> Output<I, U> {
        Output { results: row(len), items: row(if Self::SHARED { 0 } else { len }) }
    }

    /// Returns a buffer without places for items, which are computed.
    ///
    /// # Panics
    ///
    /// If there is no memory for the buffer.
    pub(crate) fn of_results(len: usize) -> Output<I, U> {
        Output { results: row(len), items: row(0) }
    }

    /// Returns the number of places of results.
    pub(crate) fn len(&self) -> usize {
        self.results.len()
    }

    fn item(&self, index: usize) -> *mut I {
        if Self::SHARED { self.results[index].get().cast() } else { self.items[index].get().cast() }
    }

    /// Writes the item at `index`.
    ///
    /// # Safety
    ///
    /// Each index is written once, before any other visit.
    pub(crate) unsafe fn write_item(&self, index: usize, item: I) {
        // SAFETY: the place is large and aligned enough, and no other thread visits this index now.
        unsafe { self.item(index).write(item) };
    }

    /// Runs `job` on each item from `next` to `end`, and writes the result in its place. After a
    /// panic, `next` is the index behind the item that panicked.
    ///
    /// # Safety
    ///
    /// Each index is run once, after its item was written.
    #[inline]
    pub(crate) unsafe fn run(&self, next: &mut usize, end: usize, mut job: impl FnMut(I) -> U) {
        let first = *next;
        let results = &self.results[first..end];
        let items = if Self::SHARED { None } else { Some(&self.items[first..end]) };
        for (offset, result) in results.iter().enumerate() {
            *next = first + offset + 1;
            let item = items.map_or(result.get().cast::<I>(), |items| items[offset].get().cast());
            // SAFETY: the item is there. No other thread visits this index now, and the item is not
            // read again.
            let item = unsafe { item.read() };
            let value = job(item);
            // SAFETY: no other thread visits this index now, and the place holds no value.
            unsafe { result.get().write(MaybeUninit::new(value)) };
        }
    }

    /// Runs `job` on the indices from `next` to `end`, as [`run`](Output::run) does on items.
    ///
    /// # Safety
    ///
    /// Each index is run once.
    #[inline]
    pub(crate) unsafe fn run_indices(
        &self,
        next: &mut usize,
        end: usize,
        mut job: impl FnMut(usize) -> U,
    ) {
        let first = *next;
        for (offset, result) in self.results[first..end].iter().enumerate() {
            *next = first + offset + 1;
            let value = job(first + offset);
            // SAFETY: no other thread visits this index now, and the place holds no value.
            unsafe { result.get().write(MaybeUninit::new(value)) };
        }
    }

    /// Returns the first `len` results, without copying them.
    ///
    /// # Safety
    ///
    /// The results of the first `len` indices were written, and the writes happened before.
    pub(crate) unsafe fn into_vec(self, len: usize) -> Vec<U> {
        debug_assert!(len <= self.results.len());
        let mut results = ManuallyDrop::new(self.results);
        // SAFETY: a place is a transparent wrapper of `U`, and the first `len` are initialised.
        unsafe { Vec::from_raw_parts(results.as_mut_ptr().cast::<U>(), len, results.capacity()) }
    }

    /// Drops the first `len` results, except the missing ones. `missing` is sorted.
    ///
    /// # Safety
    ///
    /// The results of all other indices below `len` were written, and the writes happened before.
    pub(crate) unsafe fn drop_except(self, len: usize, missing: &[usize]) {
        let mut missing = missing.iter().copied().peekable();
        for (index, place) in self.results.into_iter().enumerate().take(len) {
            if missing.next_if_eq(&index).is_none() {
                // SAFETY: the result was written, and is visited once here.
                discard(unsafe { place.into_inner().assume_init() });
            }
        }
    }
}
