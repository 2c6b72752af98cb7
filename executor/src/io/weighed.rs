//! A source whose items have weights, and wait for room in a budget.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

use crate::limits::Budget;
use crate::unwind::DiscardOnDrop;

/// The items of a source. The puller asks the source for an item, weighs it, and keeps it here
/// until the budget admits it.
///
/// If the source panics when it is dropped, that panic is passed on. The `Drop` of the function
/// that weighs and of a kept item may panic as well. A second panic would end the process.
pub(crate) struct Weighed<I: Iterator, W> {
    source: I,
    weigh: DiscardOnDrop<W>,
    /// `None` if the source passes its items on without a budget.
    budget: Option<Arc<Budget>>,
    next: DiscardOnDrop<Next<I::Item>>,
}

enum Next<T> {
    Unknown,
    /// The item, and its weight. An answer of the source that is no item has no weight.
    Item(T, Option<u64>),
    End,
    /// The payload of a panic of the source, or of the function that weighs.
    Panicked(Box<dyn Any + Send>),
}

impl<I: Iterator, W: Fn(&I::Item) -> Option<u64>> Weighed<I, W> {
    pub(crate) fn new(source: I, weigh: W, budget: Option<Arc<Budget>>) -> Self {
        let (weigh, next) = (DiscardOnDrop::new(weigh), DiscardOnDrop::new(Next::Unknown));
        Weighed { source, weigh, budget, next }
    }

    /// Returns the source.
    pub(crate) fn source(&mut self) -> &mut I {
        &mut self.source
    }

    /// Asks the source for the next item. Returns `false` if the item has to wait for room. After
    /// `true`, the caller calls `next` before it calls this method again.
    pub(crate) fn is_admitted(&mut self) -> bool {
        if let Next::Unknown = *self.next {
            let next = catch_unwind(AssertUnwindSafe(|| match self.source.next() {
                Some(item) => {
                    // If `weigh` panics, the item is dropped while the thread unwinds.
                    let item = DiscardOnDrop::new(item);
                    let weight = (self.weigh)(&item);
                    Next::Item(item.into_inner(), weight)
                }
                None => Next::End,
            }));
            *self.next = next.unwrap_or_else(Next::Panicked);
        }
        match (&*self.next, &self.budget) {
            (Next::Item(_, Some(weight)), Some(budget)) => budget.admit(*weight),
            _ => true,
        }
    }
}

impl<I: Iterator, W> Iterator for Weighed<I, W> {
    type Item = I::Item;

    fn next(&mut self) -> Option<I::Item> {
        match std::mem::replace(&mut *self.next, Next::Unknown) {
            Next::Item(item, _) => Some(item),
            Next::Panicked(payload) => resume_unwind(payload),
            Next::Unknown | Next::End => None,
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match *self.next {
            Next::Unknown => self.source.size_hint(),
            // The source is not asked: if it panicked, the answer that is kept here would be lost.
            Next::Item(..) | Next::Panicked(_) => (1, None),
            Next::End => (0, Some(0)),
        }
    }
}
