//! Large allocations. If one fails, the call panics, and the process goes on.

use std::sync::Weak;

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

/// Adds a weak reference to a list. Removes dead references each time the list is full, and then
/// makes room for as many as are alive. So an addition takes constant time on average, and the list
/// has at most some four times the capacity for the references that were alive at once.
pub(crate) fn push_weak<T: ?Sized>(list: &mut Vec<Weak<T>>, new: Weak<T>) {
    if list.len() == list.capacity() {
        list.retain(|old| old.strong_count() > 0);
        let alive = list.len();
        list.shrink_to(2 * alive + 2);
        list.reserve(alive + 1);
    }
    list.push(new);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn dead_references_are_removed_in_constant_time_on_average() {
        let (alive, mut list) = ([(); 1000].map(Arc::new), Vec::new());
        alive.iter().for_each(|value| push_weak(&mut list, Arc::downgrade(value)));
        // Each removal makes the list shorter, and goes through all that are alive.
        let mut removals = 0;
        for _ in 0..10_000 {
            let before = list.len();
            push_weak(&mut list, Arc::downgrade(&Arc::new(())));
            removals += usize::from(list.len() <= before);
        }
        assert!((1..=10).contains(&removals), "{removals} removals");
        assert!(list.capacity() <= 4 * alive.len(), "{}", list.capacity());
        assert_eq!(list.iter().filter(|value| value.strong_count() > 0).count(), alive.len());
        drop(alive);
        while list.len() > 1 {
            push_weak(&mut list, Weak::new());
        }
        assert!(list.capacity() < 8, "{}", list.capacity());
    }
}
