//! The input and the output of a batch, reached by index from many threads.
//!
//! All `unsafe` on items and results of a batch is here and in its one caller, `plain.rs`, which
//! visits each index once.

use std::cell::UnsafeCell;
use std::mem::{ManuallyDrop, MaybeUninit};

/// Items that are moved out one by one. What is never taken is leaked, not dropped.
pub(crate) struct Input<I>(Box<[UnsafeCell<ManuallyDrop<I>>]>);

/// Places that are filled one by one. What is in them is leaked unless it is taken out.
pub(crate) struct Output<U>(Box<[UnsafeCell<MaybeUninit<U>>]>);

// SAFETY: each index is visited by one thread; items and results are sent to and from it, and no
// two threads see one item, so `Sync` is not needed of them.
unsafe impl<I: Send> Sync for Input<I> {}
// SAFETY: as above.
unsafe impl<U: Send> Sync for Output<U> {}

impl<I> Input<I> {
    pub(crate) fn new(items: Vec<I>) -> Input<I> {
        Input(items.into_iter().map(|item| UnsafeCell::new(ManuallyDrop::new(item))).collect())
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// # Safety
    ///
    /// Each index is taken once.
    pub(crate) unsafe fn take(&self, index: usize) -> I {
        let place = self.0[index].get();
        // SAFETY: the item is there, since nobody took it before, and nobody else looks at it.
        let place = unsafe { &mut *place };
        // SAFETY: as above; nobody uses the item in the place again.
        unsafe { ManuallyDrop::take(place) }
    }
}

impl<U> Output<U> {
    pub(crate) fn new(len: usize) -> Output<U> {
        Output((0..len).map(|_| UnsafeCell::new(MaybeUninit::uninit())).collect())
    }

    /// # Safety
    ///
    /// Each index is put once.
    pub(crate) unsafe fn put(&self, index: usize, value: U) {
        // SAFETY: nobody else visits this index.
        unsafe { self.0[index].get().write(MaybeUninit::new(value)) };
    }

    /// # Safety
    ///
    /// Every index was put, and the puts happened before.
    pub(crate) unsafe fn into_vec(self) -> Vec<U> {
        let len = self.0.len();
        let places = Box::into_raw(self.0);
        // SAFETY: a place is a transparent wrapper of `U`, and a `Vec` of as many elements as its
        // capacity has the layout of the box; all of them are initialised.
        unsafe { Vec::from_raw_parts(places.cast::<U>(), len, len) }
    }

    /// Drops all values but those that are missing, whose indices are given in order.
    ///
    /// # Safety
    ///
    /// Every other index was put, and the puts happened before.
    pub(crate) unsafe fn drop_except(self, missing: &[usize]) {
        let mut missing = missing.iter().copied().peekable();
        for (index, place) in self.0.into_iter().enumerate() {
            if missing.next_if_eq(&index).is_none() {
                // SAFETY: the index was put and is visited once here.
                crate::failure::discard(unsafe { place.into_inner().assume_init() });
            }
        }
    }
}
