//! A stream whose consumer is a thread.

use std::iter::FusedIterator;

use crate::failure::Outcome;
use crate::ordered::Ordered;

impl<U: Send, E: Send> Iterator for Ordered<'_, U, E> {
    type Item = Outcome<U, E>;

    #[inline]
    fn next(&mut self) -> Option<Outcome<U, E>> {
        loop {
            if let Some(outcome) = self.chunk.pop() {
                return Some(outcome);
            }
            if !self.refill() {
                self.stop();
                return None;
            }
            self.chunk.reverse();
        }
    }

    /// As `next` until the end. A loop over a chunk keeps its place in registers, so that `for_each`, `sum` and
    /// whatever else folds takes less for an outcome than a `for` loop.
    #[inline]
    fn fold<B, F>(mut self, init: B, mut f: F) -> B
    where
        F: FnMut(B, Outcome<U, E>) -> B,
    {
        let mut folded = init;
        while let Some(outcome) = self.chunk.pop() {
            folded = f(folded, outcome);
        }
        while self.refill() {
            folded = self.chunk.drain(..).fold(folded, &mut f);
        }
        folded
    }
}

impl<U: Send, E: Send> FusedIterator for Ordered<'_, U, E> {}
