//! The outcomes of neighbouring items of a stream, which travel in one slot of its ring.

use std::convert::Infallible;
use std::mem::MaybeUninit;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::{array, mem, vec};

use reorder_ring::Ring;

use crate::outcome::Outcome;
use crate::primitive::{Mutex, lock};
use crate::unwind::{discard, drop_each};

/// A vector that drops its outcomes one by one, because the `Drop` of each may panic.
pub(crate) struct Chunk<U, E = Infallible> {
    outcomes: Vec<Outcome<U, E>>,
    /// The index of the outcome, in a call that orders its outcomes by key. There, a chunk has one.
    pub(crate) index: u64,
}

/// The ring of a stream.
pub(crate) type ChunkRing<U, E> = Arc<Ring<Chunk<U, E>>>;

/// The maximum number of outcomes of a chunk.
pub(crate) const MOST: usize = 256;
const CLASSES: usize = MOST.ilog2() as usize + 1;

/// The size of a cache line on most processors. On one with larger lines, some loads are repeated.
const LINE: usize = 64;
/// The maximum number of bytes that are loaded before they are used, so that they stay in the
/// first-level cache.
const MAX_LOADED: usize = 16 * 1024;

impl<U, E> Chunk<U, E> {
    pub(crate) fn new() -> Self {
        Chunk { outcomes: Vec::new(), index: 0 }
    }

    /// Loads a byte of each cache line of the outcomes, which another thread has written. The loads
    /// do not depend on each other, so the processor transfers many lines at once. A loop that uses
    /// the outcomes waits for a few lines at a time.
    #[inline]
    pub(crate) fn load_lines(&mut self) {
        let bytes = size_of_val(&self.outcomes[..]).min(MAX_LOADED);
        let start = self.outcomes.as_mut_ptr().cast::<MaybeUninit<u8>>();
        for offset in (0..bytes).step_by(LINE) {
            let byte = start.wrapping_add(offset);
            // SAFETY: the byte lies in an outcome, which is borrowed. It may be padding.
            let _: MaybeUninit<u8> = unsafe { byte.read_volatile() };
        }
    }

    /// Returns an iterator that takes the outcomes out. If its user panics, it discards the
    /// outcomes that are left.
    #[inline]
    pub(crate) fn take_all(&mut self) -> impl Iterator<Item = Outcome<U, E>> {
        TakeAll(self.outcomes.drain(..))
    }
}

struct TakeAll<'a, T>(vec::Drain<'a, T>);

impl<T> Iterator for TakeAll<'_, T> {
    type Item = T;

    #[inline]
    fn next(&mut self) -> Option<T> {
        self.0.next()
    }
}

impl<T> Drop for TakeAll<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.0.by_ref().for_each(discard);
    }
}

impl<U, E> Drop for Chunk<U, E> {
    #[inline]
    fn drop(&mut self) {
        if !self.is_empty() {
            drop_each(mem::take(&mut self.outcomes).into_iter());
        }
    }
}

impl<U, E> Default for Chunk<U, E> {
    #[inline]
    fn default() -> Self {
        Chunk::new()
    }
}

impl<U, E> Deref for Chunk<U, E> {
    type Target = Vec<Outcome<U, E>>;

    #[inline]
    fn deref(&self) -> &Self::Target {
        &self.outcomes
    }
}

impl<U, E> DerefMut for Chunk<U, E> {
    #[inline]
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.outcomes
    }
}

/// Empty chunks that are used again, by size class: a chunk of class `c` has a capacity of 2^`c`
/// outcomes.
///
/// A chunk of class `c` is taken for more than 2^(`c` - 1) outcomes. So a stream has at most 2 /
/// 2^`c` of its window in chunks of that class, and all of them can be kept. The memory of a class
/// stays below that of two windows of outcomes. The number of allocations does not depend on the
/// length of the stream, nor on how the chunk size varies.
pub(crate) struct Spares<U, E = Infallible> {
    classes: Mutex<[Vec<Chunk<U, E>>; CLASSES]>,
}

impl<U, E> Spares<U, E> {
    pub(crate) fn new() -> Spares<U, E> {
        Spares { classes: Mutex::new(array::from_fn(|_| Vec::new())) }
    }

    /// Returns an empty chunk with a capacity for `outcomes` outcomes, from 1 to [`MOST`].
    pub(crate) fn take(&self, outcomes: usize) -> Chunk<U, E> {
        let room = outcomes.next_power_of_two();
        let spare = lock(&self.classes)[room.ilog2() as usize].pop();
        spare.unwrap_or_else(|| Chunk { outcomes: Vec::with_capacity(room), index: 0 })
    }

    /// Keeps an empty chunk.
    pub(crate) fn put(&self, chunk: Chunk<U, E>) {
        debug_assert!(chunk.is_empty());
        if let Some(class) = chunk.capacity().checked_ilog2() {
            lock(&self.classes)[(class as usize).min(CLASSES - 1)].push(chunk);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    #[test]
    fn memory_is_used_again_for_as_many_outcomes() {
        let spares = Spares::<u64>::new();
        let large = spares.take(48);
        let place = large.as_ptr();
        spares.put(large);
        let small = spares.take(3);
        assert_ne!(small.as_ptr(), place, "it is too large to be spent on three");
        let again = spares.take(64);
        assert_eq!((again.as_ptr(), again.capacity()), (place, 64));
        let another = spares.take(64);
        assert_ne!(another.as_ptr(), place, "there are no more");
    }

    #[test]
    fn every_size_finds_what_was_kept_of_it() {
        let spares = Spares::<u64>::new();
        for outcomes in 1..=MOST {
            let chunk = spares.take(outcomes);
            assert!(chunk.capacity() >= outcomes);
            let place = chunk.as_ptr();
            spares.put(chunk);
            let again = spares.take(outcomes);
            assert_eq!(again.as_ptr(), place, "{outcomes}");
            spares.put(again);
        }
        assert_eq!(lock(&spares.classes).each_ref().map(Vec::len), [1; CLASSES]);
    }

    #[test]
    fn two_windows_of_each_size_are_enough() {
        const WINDOW: usize = 1024;
        let spares = Spares::<u64>::new();
        let mut out = VecDeque::<(usize, Chunk<u64>)>::new();
        for step in 0..100_000 {
            // Long series of small ones, of large ones, and of both.
            let outcomes = step * 7 % (1 + step / 1000 * 31 % MOST) + 1;
            while out.iter().map(|(outcomes, _)| outcomes).sum::<usize>() + outcomes > WINDOW {
                spares.put(out.pop_front().expect("one is less than a window").1);
            }
            out.push_back((outcomes, spares.take(outcomes)));
        }
        out.into_iter().for_each(|(_, chunk)| spares.put(chunk));
        for (class, kept) in lock(&spares.classes).iter().enumerate() {
            assert!((1..=(2 * WINDOW) >> class).contains(&kept.len()), "{} of {class}", kept.len());
        }
    }
}
