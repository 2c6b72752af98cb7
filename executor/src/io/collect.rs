//! Reading a source to its end.

use crate::unwind::{DiscardEach, DiscardOnDrop};

/// Returns the items of a source.
///
/// # Panics
///
/// If the source panics, also when it is dropped. The items that came before are dropped one by
/// one, because each of them may panic as well.
pub(crate) fn collect<S: Iterator>(source: S) -> Vec<S::Item> {
    let mut items = DiscardEach(Vec::new());
    let mut source = DiscardOnDrop::new(source);
    items.0.extend(&mut *source);
    drop(source.into_inner());
    items.into_vec()
}
