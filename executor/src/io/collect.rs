//! Reading a source to its end.

use std::vec;

use crate::memory;
use crate::unwind::{DiscardEach, DiscardOnDrop, discard};

/// Items that were collected, as a source. The items that are left are dropped one by one.
pub(crate) struct Items<T>(vec::IntoIter<T>);

impl<T> Items<T> {
    pub(crate) fn new(items: DiscardEach<T>) -> Items<T> {
        Items(items.into_vec().into_iter())
    }
}

impl<T> Iterator for Items<T> {
    type Item = T;

    #[inline]
    fn next(&mut self) -> Option<T> {
        self.0.next()
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl<T> Drop for Items<T> {
    fn drop(&mut self) {
        self.0.by_ref().for_each(discard);
    }
}

/// Returns the items of a source.
///
/// # Panics
///
/// If the source panics, also when it is dropped, or there is no memory for the items. The items
/// that came before are dropped one by one, because each of them may panic as well.
pub(crate) fn collect<S: Iterator>(source: S) -> DiscardEach<S::Item> {
    let mut items = DiscardEach(Vec::new());
    let mut source = DiscardOnDrop::new(source);
    while let Some(item) = source.next() {
        if items.0.len() < items.0.capacity() {
            items.0.push(item);
        } else {
            let item = DiscardOnDrop::new(item);
            memory::grow(&mut items.0, source.size_hint().0.saturating_add(1));
            items.0.push(item.into_inner());
        }
    }
    drop(source.into_inner());
    items
}
