//! Writing values into the reserved part of a vector, in a loop that keeps its state in registers.

use std::vec::Drain;

/// Items that a loop takes out one by one.
pub(crate) trait TakeItems: ExactSizeIterator + Sized {
    /// Returns an iterator over the items. The items that it does not return stay.
    ///
    /// An implementation may let the loop keep the place of the next item in a register.
    #[inline]
    fn rest(&mut self) -> impl Iterator<Item = Self::Item> {
        self
    }
}

impl<T> TakeItems for Drain<'_, T> {}

/// Pushes up to `count` values, without a check of the capacity for each.
///
/// Returns `true` if `next` brought fewer. Values that came before a panic of `next` were pushed.
///
/// # Panics
///
/// If the vector has no capacity for `count` more values, or with a panic of `next`.
#[inline]
pub(crate) fn push_reserved<U>(
    values: &mut Vec<U>,
    count: usize,
    mut next: impl FnMut() -> Option<U>,
) -> bool {
    /// Keeps the length beside the vector, in a register.
    struct Pushed<'a, U> {
        values: &'a mut Vec<U>,
        len: usize,
    }
    impl<U> Drop for Pushed<'_, U> {
        fn drop(&mut self) {
            // SAFETY: `len` values were written, within the capacity.
            unsafe { self.values.set_len(self.len) };
        }
    }
    let len = values.len();
    assert!(count <= values.capacity() - len, "the capacity was reserved");
    let start = values.as_mut_ptr();
    let mut pushed = Pushed { values, len };
    for _ in 0..count {
        let Some(value) = next() else { return true };
        // SAFETY: the place is within the capacity.
        let place = unsafe { start.add(pushed.len) };
        // SAFETY: it holds no value, and no other thread has the vector.
        unsafe { place.write(value) };
        pushed.len += 1;
    }
    false
}
