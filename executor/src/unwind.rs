//! Catches panics of user code on threads that must go on.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::thread::panicking;

/// Drops a value and catches a panic of its `Drop`.
///
/// The payload of that panic is dropped, too. If its `Drop` panics as well, the second payload is
/// leaked.
pub fn discard<T>(value: T) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(value))) {
        catch_unwind(AssertUnwindSafe(|| drop(payload))).unwrap_or_else(std::mem::forget);
    }
}

/// Drops values one by one. Resumes the first panic of a `Drop`, unless the thread unwinds already.
/// Discards the payloads of all others.
///
/// A `Vec` that is dropped ends the process if a second one of its values panics.
pub(crate) fn drop_each<T>(values: impl Iterator<Item = T>) {
    let mut first = None;
    for value in values {
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(value))) {
            if first.is_none() && !panicking() {
                first = Some(payload);
            } else {
                discard(payload);
            }
        }
    }
    if let Some(payload) = first {
        resume_unwind(payload);
    }
}

/// Runs `f` and discards the payload if `f` panics.
#[inline]
pub fn catch_panic(f: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(f)) {
        discard(payload);
    }
}

/// Holds a value, and [`discard`]s it when it is dropped.
///
/// Any thread may drop the last reference to such a value, and none of them could handle the panic.
pub struct DiscardOnDrop<T>(Option<T>);

impl<T> DiscardOnDrop<T> {
    /// Returns the value in its holder.
    pub fn new(value: T) -> Self {
        DiscardOnDrop(Some(value))
    }

    /// Returns the value, whose drop may panic again.
    pub fn into_inner(mut self) -> T {
        self.0.take().expect("it is there until the drop")
    }
}

/// Holds values while user code runs, which may panic. Its drop [`discard`]s each value.
///
/// A `Vec` that is dropped while a panic unwinds ends the process if one of its values panics.
pub(crate) struct DiscardEach<T>(pub(crate) Vec<T>);

impl<T> DiscardEach<T> {
    pub(crate) fn into_vec(mut self) -> Vec<T> {
        std::mem::take(&mut self.0)
    }
}

impl<T> Drop for DiscardEach<T> {
    #[inline]
    fn drop(&mut self) {
        if std::mem::needs_drop::<T>() && !self.0.is_empty() {
            self.0.drain(..).for_each(discard);
        }
    }
}

impl<T> std::ops::Deref for DiscardOnDrop<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_ref().expect("it is there until the drop")
    }
}

impl<T> std::ops::DerefMut for DiscardOnDrop<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.as_mut().expect("it is there until the drop")
    }
}

impl<T> fmt::Debug for DiscardOnDrop<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DiscardOnDrop").finish_non_exhaustive()
    }
}

impl<T> Drop for DiscardOnDrop<T> {
    fn drop(&mut self) {
        discard(self.0.take());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn what_a_drop_panics_with_is_dropped_too() {
        struct Fragile(Arc<()>);
        impl Drop for Fragile {
            fn drop(&mut self) {
                resume_unwind(Box::new(Arc::clone(&self.0)));
            }
        }
        let alive = Arc::new(());
        discard(Fragile(Arc::clone(&alive)));
        assert_eq!(Arc::strong_count(&alive), 1, "the payload was lost");
    }
}
