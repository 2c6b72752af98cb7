//! A source whose items have keys.

use std::any::Any;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::io::key_order::KeyOrder;
use crate::io::key_table::KeyId;
use crate::unwind::DiscardOnDrop;

/// The key of an item, or the payload of the panic of the function that returns it.
pub(crate) type KeyOfItem = Result<KeyId, Box<dyn Any + Send>>;

/// The number of keys below which unused keys are kept.
const FEW: usize = 64;

/// The items of a source. Each call of `next` also finds the key of its item, if `key` returns one.
///
/// The source knows each key with an outstanding item by a number. It forgets unused keys in
/// sweeps, when half of the keys may be unused. So each item costs a constant time on average.
pub(crate) struct Keyed<I, F, K, U, E> {
    source: I,
    key: DiscardOnDrop<F>,
    numbers: HashMap<Guarded<K>, KeyId>,
    /// Numbers below the length of the map that no key has.
    free: Vec<KeyId>,
    /// The number of keys at which the next sweep begins.
    sweep_at: usize,
    keys: Arc<KeyOrder<U, E>>,
    last: Option<KeyOfItem>,
}

/// A key whose `Drop` may panic.
struct Guarded<K>(DiscardOnDrop<K>);

impl<K: Hash> Hash for Guarded<K> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (*self.0).hash(state);
    }
}

impl<K: Eq> PartialEq for Guarded<K> {
    fn eq(&self, other: &Self) -> bool {
        *self.0 == *other.0
    }
}

impl<K: Eq> Eq for Guarded<K> {}

impl<I, F, K: Hash + Eq, U, E> Keyed<I, F, K, U, E> {
    pub(crate) fn new(source: I, key: DiscardOnDrop<F>, keys: Arc<KeyOrder<U, E>>) -> Self {
        let (numbers, free) = (HashMap::new(), Vec::new());
        Keyed { source, key, numbers, free, sweep_at: FEW, keys, last: None }
    }

    /// Returns the source.
    pub(crate) fn source(&mut self) -> &mut I {
        &mut self.source
    }

    /// Returns the key of the item that `next` returned last.
    pub(crate) fn take_key(&mut self) -> Option<KeyOfItem> {
        self.last.take()
    }

    fn number(&mut self, key: K) -> KeyId {
        if self.numbers.len() >= self.sweep_at {
            self.forget_unused();
        }
        let count = self.numbers.len();
        match self.numbers.entry(Guarded(DiscardOnDrop::new(key))) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(place) => *place.insert(self.free.pop().unwrap_or((count) as KeyId)),
        }
    }

    /// Forgets the keys without an outstanding item. Only the puller adds items, so a key that has
    /// none now has none when it is forgotten.
    fn forget_unused(&mut self) {
        let unused = self.keys.unused_keys();
        self.numbers.retain(|_, &mut number| {
            let is_unused = unused.get(number as usize).copied().unwrap_or(true);
            if is_unused {
                self.free.push(number);
            }
            !is_unused
        });
        self.sweep_at = (2 * self.numbers.len()).max(FEW);
    }
}

impl<I, F, K, U, E> Iterator for Keyed<I, F, K, U, E>
where
    I: Iterator,
    F: FnMut(&I::Item) -> Option<K>,
    K: Hash + Eq,
{
    type Item = I::Item;

    fn next(&mut self) -> Option<I::Item> {
        let item = self.source.next()?;
        // The item is dropped by a thread that catches a panic of its `Drop`.
        let key = catch_unwind(AssertUnwindSafe(|| {
            let key = (*self.key)(&item)?;
            Some(self.number(key))
        }));
        self.last = match key {
            Ok(number) => number.map(Ok),
            Err(payload) => Some(Err(payload)),
        };
        Some(item)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.source.size_hint()
    }
}
