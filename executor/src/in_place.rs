//! The places of a batch: each holds an item, and then its result. Reached by index from many
//! threads.
//!
//! All `unsafe` on items and results of a batch is here and in `intake.rs` and `plain.rs`, which
//! visit each index once.

use std::cell::UnsafeCell;
use std::mem::MaybeUninit;

type Row<T> = Box<[UnsafeCell<MaybeUninit<T>>]>;

/// What is in them is leaked unless it is taken out.
pub(crate) struct Places<I, U> {
    results: Row<U>,
    /// Empty if the items lie where the results will: memory that is touched once costs half.
    items: Row<I>,
}

// SAFETY: each index is visited by one thread at a time; items and results are sent to and from it,
// and no two threads see one item, so `Sync` is not needed of them.
unsafe impl<I: Send, U: Send> Sync for Places<I, U> {}

fn row<T>(len: usize) -> Row<T> {
    (0..len).map(|_| UnsafeCell::new(MaybeUninit::uninit())).collect()
}

impl<I, U> Places<I, U> {
    const SHARED: bool = size_of::<I>() <= size_of::<U>() && align_of::<I>() <= align_of::<U>();

    pub(crate) fn new(len: usize) -> Places<I, U> {
        Places { results: row(len), items: row(if Self::SHARED { 0 } else { len }) }
    }

    fn item(&self, index: usize) -> *mut I {
        if Self::SHARED { self.results[index].get().cast() } else { self.items[index].get().cast() }
    }

    /// # Safety
    ///
    /// Each index is put once, and first.
    pub(crate) unsafe fn put_item(&self, index: usize, item: I) {
        // SAFETY: the place is large and aligned enough, and nobody else visits this index now.
        unsafe { self.item(index).write(item) };
    }

    /// # Safety
    ///
    /// Each index is taken once, after its item was put.
    pub(crate) unsafe fn take_item(&self, index: usize) -> I {
        // SAFETY: the item is there, nobody else visits this index now, and nobody reads it again.
        unsafe { self.item(index).read() }
    }

    /// # Safety
    ///
    /// Each index is put once, after its item was taken.
    pub(crate) unsafe fn put_result(&self, index: usize, value: U) {
        // SAFETY: nobody else visits this index now.
        unsafe { self.results[index].get().write(MaybeUninit::new(value)) };
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
                crate::failure::discard(unsafe { place.into_inner().assume_init() });
            }
        }
    }
}
