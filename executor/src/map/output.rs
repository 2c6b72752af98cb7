//! The places of a batch: each holds an item, and then its result. Reached by index from many
//! threads.
//!
//! All `unsafe` on items and results of a batch is here and in `intake.rs` and `plain.rs`, which
//! visit each index once.

use std::cell::{Cell, UnsafeCell};
use std::mem::MaybeUninit;

use crate::unwind::discard;

type Row<T> = Box<[UnsafeCell<MaybeUninit<T>>]>;

/// What is in them is leaked unless it is taken out.
pub(crate) struct Output<I, U> {
    results: Row<U>,
    /// Empty if the items lie where the results will: memory that is touched once costs half.
    items: Row<I>,
}

// SAFETY: each index is visited by one thread at a time; items and results are sent to and from it,
// and no two threads see one item, so `Sync` is not needed of them.
unsafe impl<I: Send, U: Send> Sync for Output<I, U> {}

fn row<T>(len: usize) -> Row<T> {
    let row = Box::<[UnsafeCell<MaybeUninit<T>>]>::new_uninit_slice(len);
    // SAFETY: a place is one without a value, too.
    unsafe { row.assume_init() }
}

/// How far a loop has come, kept in a register, and told when the loop ends or a panic ends it.
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

    pub(crate) fn new(len: usize) -> Output<I, U> {
        Output { results: row(len), items: row(if Self::SHARED { 0 } else { len }) }
    }

    fn item(&self, index: usize) -> *mut I {
        if Self::SHARED { self.results[index].get().cast() } else { self.items[index].get().cast() }
    }

    /// # Safety
    ///
    /// Each index is put once, and first.
    pub(crate) unsafe fn write_item(&self, index: usize, item: I) {
        // SAFETY: the place is large and aligned enough, and nobody else visits this index now.
        unsafe { self.item(index).write(item) };
    }

    /// Puts the result of `job` in the place of each item from `next` to `end`. If it panics, `next` is
    /// behind the item that it was at.
    ///
    /// # Safety
    ///
    /// Each index is run once, after its item was put.
    #[inline]
    pub(crate) unsafe fn run(&self, next: &mut usize, end: usize, job: &impl Fn(usize, I) -> U) {
        let first = *next;
        let results = &self.results[first..end];
        let items = if Self::SHARED { None } else { Some(&self.items[first..end]) };
        for (offset, result) in results.iter().enumerate() {
            *next = first + offset + 1;
            let item = items.map_or(result.get().cast::<I>(), |items| items[offset].get().cast());
            // SAFETY: the item is there, nobody else visits this index now, and nobody reads it again.
            let item = unsafe { item.read() };
            let value = job(first + offset, item);
            // SAFETY: nobody else visits this index now; the place holds no value.
            unsafe { result.get().write(MaybeUninit::new(value)) };
        }
    }

    /// # Safety
    ///
    /// The results of the first `len` indices were put, and the puts happened before.
    pub(crate) unsafe fn into_vec(self, len: usize) -> Vec<U> {
        let capacity = self.results.len();
        debug_assert!(len <= capacity);
        let results = Box::into_raw(self.results);
        // SAFETY: a place is a transparent wrapper of `U`, and a `Vec` with as much capacity has
        // the layout of the box; the first `len` are initialised.
        unsafe { Vec::from_raw_parts(results.cast::<U>(), len, capacity) }
    }

    /// Drops the first `len` results but those that are missing, whose indices are given in order.
    ///
    /// # Safety
    ///
    /// The results of every other of the first `len` indices were put, and the puts happened before.
    pub(crate) unsafe fn drop_except(self, len: usize, missing: &[usize]) {
        let mut missing = missing.iter().copied().peekable();
        for (index, place) in self.results.into_iter().enumerate().take(len) {
            if missing.next_if_eq(&index).is_none() {
                // SAFETY: the index was put and is visited once here.
                discard(unsafe { place.into_inner().assume_init() });
            }
        }
    }
}
