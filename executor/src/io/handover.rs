//! The items of a pull, which other threads take over while the puller is blocked in the source.
//!
//! ```text
//!             taken     published
//!               ▼           ▼
//!  ┌────────────┬───────────┬─────────────┐
//!  │ taken over │ claimable │ not written │   the puller's buffer, on its stack
//!  └────────────┴───────────┴─────────────┘
//! ```
//!
//! The puller writes an item, and publishes the number of items by a store. It takes no lock until
//! its pull ends. Then it claims the remaining items, under the lock of the claims. Other threads
//! claim published items only if the monitor has found the puller blocked. They do so under the
//! same lock. So each item is claimed once, in the order of the source. A claim reserves the next
//! position of the ring under the lock, so positions have this order as well.
//!
//! All `unsafe` code of a hand-over is in this file.

use std::cell::UnsafeCell;
use std::mem::{self, MaybeUninit};
use std::ops::Range;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use crossbeam_utils::CachePadded;

use crate::io::reserved::TakeItems;
use crate::primitive::{AtomicUsize, Mutex, MutexGuard, lock};
use crate::scheduler::{Look, SourceWatch};
use crate::unwind::discard;

/// A buffer for the items of one pull. It is also the iterator over the items that its owner has
/// claimed.
pub(crate) struct PullBuffer<T, const MOST: usize> {
    items: UnsafeCell<[MaybeUninit<T>; MOST]>,
    /// The items that the owner has claimed and not taken out. They are initialised.
    claimed: Range<usize>,
    /// More such items, which the iterator does not return.
    tail: Range<usize>,
}

impl<T, const MOST: usize> PullBuffer<T, MOST> {
    #[inline]
    pub(crate) fn new() -> Self {
        PullBuffer {
            items: UnsafeCell::new([const { MaybeUninit::uninit() }; MOST]),
            claimed: 0..0,
            tail: 0..0,
        }
    }

    fn start(&self) -> *mut T {
        self.items.get().cast()
    }

    /// Returns a function that writes an item into the buffer, which is empty at first. No other
    /// thread can take these items over. It always returns `true`.
    #[inline]
    pub(crate) fn writer(&mut self) -> impl FnMut(T) -> bool {
        let start = self.start();
        let mut written = Written { items: 0, claimed: &mut self.claimed };
        move |item| {
            // The whole of it, and not a copy of its number.
            let written = &mut written;
            assert!(written.items < MOST, "a pull fits the buffer");
            // SAFETY: the place is within the buffer, which this thread has borrowed. It holds no
            // value.
            unsafe { start.wrapping_add(written.items).write(item) };
            written.items += 1;
            true
        }
    }

    /// Keeps the first `count` claimed items in the iterator. `move_tail` moves the others.
    pub(crate) fn keep(&mut self, count: usize) {
        let middle = self.claimed.start + count.min(self.claimed.len());
        self.tail = middle..self.claimed.end;
        self.claimed.end = middle;
    }

    /// Returns the number of items in the tail.
    pub(crate) fn tail(&self) -> usize {
        self.tail.len()
    }

    /// Moves up to `most` items from the tail into a vector.
    pub(crate) fn move_tail(&mut self, most: usize, into: &mut Vec<T>) {
        let count = most.min(self.tail.len());
        into.reserve(count);
        let first = self.start().wrapping_add(self.tail.start);
        self.tail.start += count;
        let place = into.spare_capacity_mut().as_mut_ptr().cast();
        // SAFETY: the items are initialised, they belong to this thread, and they have left `tail`.
        // The vector has the capacity, and its buffer is another one.
        unsafe { first.copy_to_nonoverlapping(place, count) };
        // SAFETY: the items were written just now.
        unsafe { into.set_len(into.len() + count) };
    }
}

impl<T, const MOST: usize> Iterator for PullBuffer<T, MOST> {
    type Item = T;

    #[inline]
    fn next(&mut self) -> Option<T> {
        // SAFETY: the item is initialised, it belongs to this thread, and it leaves `claimed`.
        self.claimed.next().map(|index| unsafe { self.start().wrapping_add(index).read() })
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        self.claimed.size_hint()
    }
}

impl<T, const MOST: usize> ExactSizeIterator for PullBuffer<T, MOST> {}

impl<T, const MOST: usize> TakeItems for PullBuffer<T, MOST> {
    #[inline]
    fn rest(&mut self) -> impl Iterator<Item = T> {
        Rest { start: self.start(), left: mem::take(&mut self.claimed), claimed: &mut self.claimed }
    }
}

/// Counts the items of a loop in a register. They are claimed when the loop or a panic ends.
struct Written<'a> {
    items: usize,
    claimed: &'a mut Range<usize>,
}

impl Drop for Written<'_> {
    fn drop(&mut self) {
        *self.claimed = 0..self.items;
    }
}

/// Takes the claimed items out of a buffer. Gives the remaining ones back when it is dropped.
struct Rest<'a, T> {
    start: *const T,
    left: Range<usize>,
    claimed: &'a mut Range<usize>,
}

impl<T> Iterator for Rest<'_, T> {
    type Item = T;

    #[inline]
    fn next(&mut self) -> Option<T> {
        // SAFETY: the item is initialised, it belongs to this thread, and it leaves `left`. It has
        // left `claimed`. The buffer is borrowed.
        self.left.next().map(|index| unsafe { self.start.wrapping_add(index).read() })
    }
}

impl<T> Drop for Rest<'_, T> {
    fn drop(&mut self) {
        *self.claimed = mem::take(&mut self.left);
    }
}

impl<T, const MOST: usize> Drop for PullBuffer<T, MOST> {
    fn drop(&mut self) {
        if mem::needs_drop::<T>() {
            // One by one, because the `Drop` of each may panic.
            self.for_each(discard);
            self.claimed = mem::take(&mut self.tail);
            self.for_each(discard);
        }
    }
}

/// The items of the present pull, and the state `C` that claims change.
pub(crate) struct Handover<T, C> {
    watch: SourceWatch,
    /// The first item of the buffer of the present pull.
    start: UnsafeCell<*mut T>,
    /// The number of items that were written into the buffer. Other threads read it only after the
    /// puller was found blocked, so that its cache line stays with the puller.
    published: CachePadded<AtomicUsize>,
    /// The number of items that other threads have taken over. Changed under the lock.
    taken: AtomicUsize,
    claims: Mutex<C>,
}

// SAFETY: items are moved between threads, and each is used by one thread at a time. `start` is
// written by the puller while `published` is 0, and read under the lock while it is not.
unsafe impl<T: Send, C: Send> Sync for Handover<T, C> {}
// SAFETY: as above. While a pull is in progress, the `Handover` is borrowed and not moved.
unsafe impl<T: Send, C: Send> Send for Handover<T, C> {}

impl<T, C> Handover<T, C> {
    pub(crate) fn new(claims: C) -> Self {
        Handover {
            watch: SourceWatch::new(),
            start: UnsafeCell::new(std::ptr::null_mut()),
            published: CachePadded::new(AtomicUsize::new(0)),
            taken: AtomicUsize::new(0),
            claims: Mutex::new(claims),
        }
    }

    /// Locks the state of the claims.
    pub(crate) fn claims(&self) -> MutexGuard<'_, C> {
        lock(&self.claims)
    }

    /// Begins a pull into `buffer`, which is empty.
    ///
    /// # Safety
    ///
    /// The caller is the only puller until it calls [`SharedPull::end`]. It does not forget the
    /// answer.
    pub(crate) unsafe fn share<'a, 'b, const MOST: usize>(
        &'a self,
        buffer: &'b mut PullBuffer<T, MOST>,
    ) -> SharedPull<'a, 'b, T, C, MOST> {
        // SAFETY: no item is published, so no other thread reads it.
        unsafe { *self.start.get() = buffer.start() };
        self.watch.enter();
        SharedPull { handover: self, buffer, has_ended: false }
    }

    /// Checks, for the monitor, whether the puller stays inside the source.
    pub(crate) fn look(&self) -> Look {
        self.watch.look()
    }

    /// Returns `true` if another thread could take over items now.
    pub(crate) fn is_claimable(&self) -> bool {
        // ORDERING: handover:look: Relaxed; a guess, which is confirmed under the lock. The fences
        // in `idle` order it for a worker that goes to sleep.
        self.watch.is_blocked() && self.published.load(Relaxed) > self.taken.load(Relaxed)
    }

    /// Claims up to `most` published items of a blocked puller, and moves them into `buffer`, which
    /// is empty. Also returns the lock, under which the caller reserves their position.
    pub(crate) fn take_over<const MOST: usize>(
        &self,
        buffer: &mut PullBuffer<T, MOST>,
        most: usize,
    ) -> Option<MutexGuard<'_, C>> {
        if !self.is_claimable() {
            return None;
        }
        let claims = self.claims();
        // ORDERING: handover:take: Acquire pairs with `handover:publish`: what the source did for
        // an item comes before the job. The pull cannot end while this thread has the lock.
        let published = self.published.load(Acquire);
        // ORDERING: handover:taken: Relaxed; changed under the lock.
        let taken = self.taken.load(Relaxed);
        let count = published.saturating_sub(taken).min(most).min(MOST);
        if count == 0 {
            return None;
        }
        // SAFETY: something is published, so the puller wrote this before, and it does not write it
        // again before it had the lock.
        let start = unsafe { *self.start.get() };
        for index in taken..taken + count {
            // SAFETY: the puller wrote the item. No thread has claimed it: this thread does so now,
            // under the lock. The buffer is there: its puller waits for the lock before it leaves.
            let item = unsafe { start.wrapping_add(index).read() };
            // SAFETY: there are at most `MOST` items.
            unsafe { buffer.start().wrapping_add(index - taken).write(item) };
        }
        buffer.claimed = 0..count;
        // ORDERING: handover:take_over: Relaxed; changed under the lock.
        self.taken.store(taken + count, Relaxed);
        Some(claims)
    }
}

/// A pull whose items can be taken over. It ends when it is dropped.
pub(crate) struct SharedPull<'a, 'b, T, C, const MOST: usize> {
    handover: &'a Handover<T, C>,
    buffer: &'b mut PullBuffer<T, MOST>,
    has_ended: bool,
}

impl<'a, T, C, const MOST: usize> SharedPull<'a, '_, T, C, MOST> {
    /// Returns a function that writes and publishes an item. It returns `false` if the puller
    /// should pull no more, because it was blocked in the source.
    #[inline]
    pub(crate) fn publisher(&mut self) -> impl FnMut(T) -> bool {
        let (handover, start, mut items) = (self.handover, self.buffer.start(), 0);
        let visit = handover.watch.visit();
        move |item| {
            assert!(items < MOST, "a pull fits the buffer");
            // SAFETY: the place is within the buffer. It holds no value, and no thread reads it
            // before it is published.
            unsafe { start.wrapping_add(items).write(item) };
            items += 1;
            // ORDERING: handover:publish: Release pairs with `handover:take`.
            handover.published.store(items, Release);
            handover.watch.last_blocked() != visit
        }
    }

    /// Returns the number of items that the pull has brought.
    pub(crate) fn pulled(&self) -> usize {
        // ORDERING: handover:pulled: Relaxed; written by this thread.
        self.handover.published.load(Relaxed)
    }

    /// Ends the pull, and claims the items that no other thread has taken. They are in the buffer.
    ///
    /// Also returns the lock of the claims, and `true` if items had to wait for the source.
    pub(crate) fn end(mut self) -> (MutexGuard<'a, C>, bool) {
        self.close()
    }

    fn close(&mut self) -> (MutexGuard<'a, C>, bool) {
        let handover = self.handover;
        let claims = handover.claims();
        // ORDERING: handover:end: Relaxed; changed by this thread, or under the lock.
        let taken = handover.taken.load(Relaxed);
        let published = self.pulled();
        let has_waited = handover.watch.is_blocked() && published > 1;
        self.buffer.claimed = taken..published;
        // ORDERING: handover:reset: Relaxed; as `handover:end`.
        handover.published.store(0, Relaxed);
        handover.taken.store(0, Relaxed);
        handover.watch.leave(true);
        self.has_ended = true;
        (claims, has_waited)
    }
}

impl<T, C, const MOST: usize> Drop for SharedPull<'_, '_, T, C, MOST> {
    fn drop(&mut self) {
        if !self.has_ended {
            drop(self.close());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the items of a buffer that holds them.
    fn rest(mut buffer: PullBuffer<u32, 4>) -> Vec<u32> {
        buffer.by_ref().collect()
    }

    #[test]
    fn a_puller_that_is_not_blocked_keeps_its_items() {
        let handover = Handover::new(());
        let (mut own, mut other) = (PullBuffer::new(), PullBuffer::<u32, 4>::new());
        // SAFETY: this thread is the only puller, and ends the pull.
        let mut pull = unsafe { handover.share(&mut own) };
        assert!((0..3).all(pull.publisher()));
        handover.look();
        assert!(!handover.is_claimable() && handover.take_over(&mut other, 4).is_none());
        assert!(!pull.end().1);
        assert_eq!(rest(own), [0, 1, 2]);
    }

    #[test]
    fn items_of_a_blocked_puller_are_taken_over_once_and_in_order() {
        let handover = Handover::new(());
        for taken in 1..=3 {
            let mut own = PullBuffer::new();
            // SAFETY: as above.
            let mut pull = unsafe { handover.share(&mut own) };
            let mut put = pull.publisher();
            assert!((0..taken).all(&mut put));
            assert_eq!((handover.look(), handover.look()), (Look::Entered, Look::NewlyBlocked));
            let mut other = PullBuffer::<_, 4>::new();
            assert!(handover.take_over(&mut other, 4).is_some());
            assert!(rest(other).into_iter().eq(0..taken));
            let mut third = PullBuffer::<_, 4>::new();
            assert!(!handover.is_claimable() && handover.take_over(&mut third, 4).is_none());
            assert!(!put(taken), "the puller returns with the item that it waited for");
            drop(put);
            assert!(pull.end().1);
            assert_eq!(rest(own), [taken]);
        }
    }

    #[test]
    fn items_that_no_thread_takes_are_dropped_with_the_buffer() {
        let item = std::sync::Arc::new(());
        let handover = Handover::new(());
        let mut own = PullBuffer::<_, 4>::new();
        // SAFETY: as above.
        let mut pull = unsafe { handover.share(&mut own) };
        assert!((0..3).map(|_| item.clone()).all(pull.publisher()));
        drop(pull);
        drop(own);
        assert_eq!(std::sync::Arc::strong_count(&item), 1);
    }
}
