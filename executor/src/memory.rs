//! Large allocations. If one fails, the call panics, and the process goes on.

use crate::unwind::DiscardEach;

/// Returns an empty vector with a capacity for `len` values.
///
/// # Panics
///
/// If there is no memory for them.
pub(crate) fn with_capacity<T>(len: usize) -> Vec<T> {
    let mut values = Vec::new();
    reserve(&mut values, len);
    values
}

/// Reserves a capacity for exactly `more` values.
///
/// # Panics
///
/// If there is no memory for them. The vector is as before.
#[inline]
pub(crate) fn reserve<T>(values: &mut Vec<T>, more: usize) {
    if values.try_reserve_exact(more).is_err() {
        no_memory(values.len().saturating_add(more), size_of::<T>());
    }
}

#[cold]
fn no_memory(values: usize, bytes: usize) -> ! {
    panic!("no memory for {values} values of {bytes} bytes each");
}

/// Reserves a capacity for at least one more value, and for `promised` more if there is memory.
///
/// # Panics
///
/// If there is no memory for them. The vector is as before.
pub(crate) fn grow<T>(values: &mut Vec<T>, promised: usize) {
    if values.try_reserve(promised.max(1)).is_err() {
        // The source may promise too much.
        reserve(values, values.len().max(1));
    }
}

/// Returns `len` values.
///
/// # Panics
///
/// If there is no memory for them.
pub(crate) fn filled<T>(len: usize, value: impl Fn() -> T) -> Box<[T]> {
    let mut values = with_capacity(len);
    values.extend((0..len).map(|_| value()));
    values.into_boxed_slice()
}

/// Returns the parts of pairs, as two vectors.
///
/// # Panics
///
/// If there is no memory for them.
pub(crate) fn unzip<A, B>(pairs: Vec<(A, B)>) -> (Vec<A>, Vec<B>) {
    let pairs = DiscardEach(pairs);
    let mut parts = (with_capacity(pairs.0.len()), with_capacity(pairs.0.len()));
    parts.extend(pairs.into_vec());
    parts
}
