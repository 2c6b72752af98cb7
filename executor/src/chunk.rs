//! The outcomes of neighbouring items of a stream: they travel in one slot of its ring.

use std::sync::PoisonError;

use crate::failure::Outcome;
use crate::primitive::{Mutex, MutexGuard};

pub(crate) type Chunk<U> = Vec<Outcome<U>>;

/// Emptied chunks, whose memory is used again.
pub(crate) struct Spares<U> {
    kept: Mutex<Kept<U>>,
    most: usize,
}

struct Kept<U> {
    chunks: Vec<Chunk<U>>,
    room: usize,
}

impl<U> Spares<U> {
    /// Keeps chunks with room for so many outcomes in all.
    pub(crate) fn new(most: usize) -> Spares<U> {
        Spares { kept: Mutex::new(Kept { chunks: Vec::new(), room: 0 }), most }
    }

    fn kept(&self) -> MutexGuard<'_, Kept<U>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An empty chunk with room for so many outcomes.
    pub(crate) fn take(&self, outcomes: usize) -> Chunk<U> {
        let mut kept = self.kept();
        let spare = kept.chunks.pop();
        kept.room -= spare.as_ref().map_or(0, Chunk::capacity);
        drop(kept);
        let mut chunk = spare.unwrap_or_default();
        chunk.reserve(outcomes);
        chunk
    }

    /// Keeps an empty chunk, or frees it if there are enough.
    pub(crate) fn put(&self, chunk: Chunk<U>) {
        debug_assert!(chunk.is_empty());
        let mut kept = self.kept();
        if chunk.capacity() > 0 && kept.room + chunk.capacity() <= self.most {
            kept.room += chunk.capacity();
            kept.chunks.push(chunk);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_used_again_up_to_the_limit() {
        let spares = Spares::<u64>::new(64);
        let large = spares.take(48);
        let (place, room) = (large.as_ptr(), large.capacity());
        spares.put(large);
        spares.put(Chunk::with_capacity(48));
        assert_eq!(spares.kept().room, room, "the second is too much");
        let again = spares.take(3);
        assert_eq!((again.as_ptr(), again.capacity()), (place, room));
        assert_eq!(spares.take(0).capacity(), 0, "there are no more");
    }
}
