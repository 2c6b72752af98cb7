//! A source whose items have weights, and wait for room in a budget.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

use crate::limits::Budget;

/// The items of a source with their indices. An item is asked for, weighed, and kept until the
/// budget admits it.
pub(crate) struct Weighed<I: Iterator, W> {
    source: I,
    weigh: W,
    budget: Arc<Budget>,
    next: Next<I::Item>,
    index: u64,
}

enum Next<T> {
    Unknown,
    /// The item, and its weight.
    Item(T, u64),
    End,
    /// The payload of a panic of the source.
    Panicked(Box<dyn Any + Send>),
}

impl<I: Iterator, W: Fn(&I::Item) -> u64> Weighed<I, W> {
    pub(crate) fn new(source: I, weigh: W, budget: Arc<Budget>) -> Self {
        Weighed { source, weigh, budget, next: Next::Unknown, index: 0 }
    }

    /// Asks the source for the next item. Returns `false` if the item has to wait for room. If it
    /// returns `true`, `next` is called before it is called again.
    pub(crate) fn is_admitted(&mut self) -> bool {
        if let Next::Unknown = self.next {
            let next = catch_unwind(AssertUnwindSafe(|| match self.source.next() {
                Some(item) => {
                    let weight = (self.weigh)(&item);
                    Next::Item(item, weight)
                }
                None => Next::End,
            }));
            self.next = next.unwrap_or_else(Next::Panicked);
        }
        match &self.next {
            Next::Item(_, weight) => self.budget.admit(*weight),
            _ => true,
        }
    }
}

impl<I: Iterator, W> Iterator for Weighed<I, W> {
    type Item = (u64, I::Item);

    fn next(&mut self) -> Option<(u64, I::Item)> {
        match std::mem::replace(&mut self.next, Next::Unknown) {
            Next::Item(item, _) => {
                self.index += 1;
                Some((self.index - 1, item))
            }
            Next::Panicked(payload) => resume_unwind(payload),
            Next::Unknown | Next::End => None,
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let (least, most) = self.source.size_hint();
        match self.next {
            Next::Item(..) => (least.saturating_add(1), most.and_then(|most| most.checked_add(1))),
            // `next` returns `None`, or panics.
            Next::End => (0, Some(0)),
            Next::Unknown | Next::Panicked(_) => (least, most),
        }
    }
}
