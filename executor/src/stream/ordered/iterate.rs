//! A stream whose consumer is a thread.

use std::iter::FusedIterator;

use crate::outcome::Outcome;
use crate::stream::ordered::Ordered;

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

    /// As `next` until the end, by loops over whole chunks, which keep their place in registers.
    #[inline]
    fn fold<B, F>(mut self, init: B, mut f: F) -> B
    where
        F: FnMut(B, Outcome<U, E>) -> B,
    {
        let mut folded = init;
        // The outcomes that `next` left stand back to front.
        self.chunk.reverse();
        loop {
            folded = self.chunk.drain(..).fold(folded, &mut f);
            if !self.refill() {
                return folded;
            }
        }
    }
}

impl<U: Send, E: Send> FusedIterator for Ordered<'_, U, E> {}
