//! One slot of the ring: a tag, and memory for a value.
//!
//! The transitions of generation `g`. `docs/ring.md` has the complete table:
//!
//! ```text
//!             mark_waited              claim             publish
//!   g Vacant ------------> g Waited ----------> g Writing -------> g Ready
//!      |  |                    |                   ^                  |
//!      |  +--------------------|----- claim -------+                  | take
//!      |                       | leave_gap                            v
//!      | leave_gap             +--> g Evicting / g Abandoning     g+1 Vacant
//!      |                                  | publish                   ^
//!      +----------------------------------+--> g Evicted / g Abandoned
//! ```
//!
//! Every `unsafe` access to a value is in this file. The tag decides which thread may access it:
//!
//! * from the claim to the publication, the thread that claimed the slot;
//! * while the slot is `Ready`, the side that takes;
//! * at all other times, no thread.

#[cfg(all(test, not(reorder_loom)))]
#[path = "../tests/paused_write.rs"]
pub(crate) mod paused_write;

use core::mem::MaybeUninit;
use core::task::Waker;

use crate::delivery::Gap;
use crate::primitive::Ordering::{Acquire, Relaxed, Release};
use crate::primitive::{AtomicU64, UnsafeCell, WakerCell};
use crate::ring::tag::{State, Tag};

pub(crate) struct Slot<T> {
    tag: AtomicU64,
    value: UnsafeCell<MaybeUninit<T>>,
}

// SAFETY: a value enters through `complete` on one thread and leaves on another thread, so it is
// sent. The tags never let two threads access it at once, so `T: Sync` is not needed.
unsafe impl<T: Send> Sync for Slot<T> {}

/// The contents of a slot when its batch closed.
pub(crate) enum ClosedSlot<T> {
    /// A value that was not taken. The caller drops it, now that the slot is vacated.
    Value(T),
    /// No value: the position was missing, was a gap, or had been taken before.
    Nothing,
    /// A completer is writing. The slot stays as it is.
    Orphan,
}

impl Gap {
    const fn state(self) -> State {
        match self {
            Gap::Evicted => State::Evicted,
            Gap::Abandoned => State::Abandoned,
        }
    }

    /// Returns the state between the claim of a waited slot and the gap.
    const fn claimed(self) -> State {
        match self {
            Gap::Evicted => State::Evicting,
            Gap::Abandoned => State::Abandoning,
        }
    }
}

impl<T> Slot<T> {
    /// Returns a slot that is vacant in `generation`.
    pub(crate) fn vacant(generation: u64) -> Slot<T> {
        Slot {
            tag: AtomicU64::new(Tag::new(generation, State::Vacant).word()),
            value: UnsafeCell::new(MaybeUninit::uninit()),
        }
    }

    /// Completes `generation` with `value`.
    ///
    /// Returns the waker of the consumer if the consumer waits for this slot; the caller calls it.
    /// A refusal returns the value, with the tag that was found.
    ///
    /// | from | to | how |
    /// |---|---|---|
    /// | `g Vacant` | `g Writing`, `g Ready` | CAS, store |
    /// | `g Waited` | `g Writing`, `g Ready` | second CAS, store; the waker is returned |
    /// | any other | unchanged | refused |
    #[inline]
    pub(crate) fn complete(
        &self,
        generation: u64,
        value: T,
        consumer_waker: &WakerCell,
    ) -> Result<Option<Waker>, (Tag, T)> {
        match self.claim(generation, State::Vacant, State::Writing) {
            Ok(claim) => {
                claim.publish_value(value);
                Ok(None)
            }
            Err(seen) => self.complete_cold(generation, seen, value, consumer_waker),
        }
    }

    #[cold]
    #[inline(never)]
    fn complete_cold(
        &self,
        generation: u64,
        seen: Tag,
        value: T,
        consumer_waker: &WakerCell,
    ) -> Result<Option<Waker>, (Tag, T)> {
        match self.claim_waited(generation, seen, State::Writing, consumer_waker) {
            Ok((claim, waker)) => {
                claim.publish_value(value);
                Ok(waker)
            }
            Err(seen) => Err((seen, value)),
        }
    }

    /// Completes `generation` with a gap.
    ///
    /// Returns the waker of the consumer if the consumer waits for this slot; the caller calls it.
    /// A refusal returns the tag that was found.
    ///
    /// | from | to | how |
    /// |---|---|---|
    /// | `g Vacant` | `g Evicted` / `g Abandoned` | CAS |
    /// | `g Waited` | `g Evicting` / `g Abandoning`, then the gap | CAS, store; the waker is returned |
    /// | any other | unchanged | refused |
    pub(crate) fn leave_gap(
        &self,
        generation: u64,
        gap: Gap,
        consumer_waker: &WakerCell,
    ) -> Result<Option<Waker>, Tag> {
        let vacant = Tag::new(generation, State::Vacant).word();
        let gap_tag = Tag::new(generation, gap.state()).word();
        // ORDERING: leave_gap:cas: Release pairs with `take:load`: all that happened before the
        // eviction is visible to the side that takes the gap. A failure is an Acquire, as in
        // `complete:claim`.
        let Err(seen) = self.tag.compare_exchange(vacant, gap_tag, Release, Acquire) else {
            return Ok(None);
        };
        let seen = Tag::from_word(seen);
        let (claim, waker) = self.claim_waited(generation, seen, gap.claimed(), consumer_waker)?;
        claim.publish(gap.state());
        Ok(waker)
    }

    /// Claims the right to write `generation`: changes the tag from `(generation, from)` to
    /// `(generation, to)`.
    #[inline]
    fn claim(&self, generation: u64, from: State, to: State) -> Result<Claim<'_, T>, Tag> {
        let from = Tag::new(generation, from).word();
        let to = Tag::new(generation, to).word();
        // ORDERING: complete:claim: Acquire pairs with `take:vacate`: this value is written after
        // the previous one was moved out. A ticket that reached this thread by a relaxed channel
        // does not ensure that. A failure is an Acquire that pairs with `close:revoke`: the base
        // that is read for the reason is the end of the closed batch.
        match self.tag.compare_exchange(from, to, Acquire, Acquire) {
            Ok(_) => Ok(Claim { slot: self, generation }),
            Err(seen) => Err(Tag::from_word(seen)),
        }
    }

    /// Claims a slot that the consumer waits for, and takes the consumer's waker.
    ///
    /// Only a claim, a take or a close ends `Waited`, so one attempt is enough. The waker is taken
    /// *before* the slot is published. Later, the cell may contain the waker of the consumer's next
    /// wait, which this thread must not use up.
    fn claim_waited(
        &self,
        generation: u64,
        seen: Tag,
        to: State,
        consumer_waker: &WakerCell,
    ) -> Result<(Claim<'_, T>, Option<Waker>), Tag> {
        if seen != Tag::new(generation, State::Waited) {
            return Err(seen);
        }
        let claim = self.claim(generation, State::Waited, to)?;
        let waker = consumer_waker.take();
        Ok((claim, waker))
    }

    /// Marks the slot as waited for. The consumer registers its waker before the call.
    ///
    /// Returns `false` if the slot is neither vacant nor waited for in `generation`.
    ///
    /// | from | to | how |
    /// |---|---|---|
    /// | `g Vacant` | `g Waited` | CAS |
    /// | `g Waited` | unchanged | the failed CAS loads the tag |
    /// | any other | unchanged | `false` |
    pub(crate) fn mark_waited(&self, generation: u64) -> bool {
        let vacant = Tag::new(generation, State::Vacant).word();
        let waited = Tag::new(generation, State::Waited).word();
        // ORDERING: mark_waited:cas: Release pairs with `complete:claim` from `Waited`: the claimer
        // takes the waker after its registration. A failure needs coherence alone: a claimer that
        // took the previous waker has synchronised with this thread through the waker cell.
        match self.tag.compare_exchange(vacant, waited, Release, Relaxed) {
            Ok(_) => true,
            Err(seen) => seen == waited,
        }
    }

    /// Returns the present tag, for views, and for decisions that a later access confirms.
    pub(crate) fn peek(&self) -> Tag {
        // ORDERING: peek:load: Relaxed; a later access confirms every decision that is based on it.
        Tag::from_word(self.tag.load(Relaxed))
    }

    /// Takes the value of the generation of `ready`, if the slot has this tag: the hot path of
    /// `take`.
    ///
    /// | from | to | how |
    /// |---|---|---|
    /// | `g Ready` | `g+1 Vacant` | load, store |
    /// | any other | unchanged | `None` |
    ///
    /// # Safety
    ///
    /// The caller has the ring's right to take.
    #[inline]
    pub(crate) unsafe fn take_value(&self, ready: Tag) -> Option<T> {
        if self.load_tag() != ready {
            return None;
        }
        // SAFETY: the slot is `Ready`, and `load_tag` made the value visible. The caller alone
        // takes, and the slot is vacated below.
        let value = unsafe { self.read() };
        self.vacate(ready.vacated());
        Some(value)
    }

    /// Takes the value or the gap of `generation`, and vacates the slot for the next generation.
    ///
    /// | from | to | how |
    /// |---|---|---|
    /// | `g Ready` / gap | `g+1 Vacant` | load, store |
    /// | any other | unchanged | the tag is returned |
    ///
    /// # Safety
    ///
    /// The caller has the ring's right to take.
    pub(crate) unsafe fn take(&self, generation: u64) -> Result<Result<T, Gap>, Tag> {
        let tag = self.load_tag();
        let outcome = if tag == Tag::new(generation, State::Ready) {
            // SAFETY: as in `take_value`.
            Ok(unsafe { self.read() })
        } else if tag == Tag::new(generation, State::Evicted) {
            Err(Gap::Evicted)
        } else if tag == Tag::new(generation, State::Abandoned) {
            Err(Gap::Abandoned)
        } else {
            return Err(tag);
        };
        self.vacate(Tag::new(generation + 1, State::Vacant));
        Ok(outcome)
    }

    /// Loads the tag, and makes a published value visible.
    #[inline]
    fn load_tag(&self) -> Tag {
        // ORDERING: take:load: Acquire pairs with `publish:store` and `leave_gap:cas`: the value,
        // and all that its completer did before, is visible to the side that takes.
        Tag::from_word(self.tag.load(Acquire))
    }

    /// Ends `generation` when its batch closes, and returns the value of a ready slot.
    ///
    /// | from | to | how |
    /// |---|---|---|
    /// | `g Vacant` / `g Waited` | `g+1 Vacant` | CAS |
    /// | `g Ready` / gap | `g+1 Vacant` | load, store; the value is returned |
    /// | `g Writing` / `g Evicting` / `g Abandoning` | unchanged | an orphan |
    /// | `g+1` and later | unchanged | vacated before |
    ///
    /// # Safety
    ///
    /// The caller has the ring's right to take.
    pub(crate) unsafe fn close(&self, generation: u64) -> ClosedSlot<T> {
        let next = Tag::new(generation + 1, State::Vacant).word();
        loop {
            // SAFETY: passed on to the caller.
            let tag = match unsafe { self.take(generation) } {
                Ok(outcome) => return outcome.map_or(ClosedSlot::Nothing, ClosedSlot::Value),
                Err(tag) => tag,
            };
            if tag.generation() != generation {
                return ClosedSlot::Nothing;
            }
            if tag.state().is_claimed() {
                return ClosedSlot::Orphan;
            }
            // ORDERING: close:revoke: Release pairs with a refused `complete:claim`, which then
            // reads the new base. This read-modify-write continues the release sequence of the
            // previous take, so the next generation is claimed after that take. A failure is
            // followed by `take:load`.
            if self.tag.compare_exchange(tag.word(), next, Release, Relaxed).is_ok() {
                return ClosedSlot::Nothing;
            }
            // A completion or an eviction came first. The slot cannot become vacant again in this
            // generation. The second round finds a value, a gap or an orphan, so it is the last.
        }
    }

    /// Clears the mark of a wait for a position that the closed batch never reserved.
    ///
    /// | from | to | how |
    /// |---|---|---|
    /// | `g Waited` | `g Vacant` | load, store |
    pub(crate) fn clear_waited(&self, generation: u64) {
        if self.peek() == Tag::new(generation, State::Waited) {
            let vacant = Tag::new(generation, State::Vacant).word();
            // ORDERING: clear_waited:store: Release pairs with `complete:claim`: the next claim is
            // ordered after the previous take, which is visible here by the batch state. There is
            // no ticket for this generation, so no other thread writes the tag.
            self.tag.store(vacant, Release);
        }
    }

    /// Makes the slot vacant in its next generation.
    #[inline]
    fn vacate(&self, next: Tag) {
        // ORDERING: take:vacate: Release pairs with `complete:claim` of the next generation: this
        // value was moved out before the next one is written.
        self.tag.store(next.word(), Release);
    }

    /// Moves the value out of the slot.
    ///
    /// # Safety
    ///
    /// The slot is `Ready`, the caller has the right to take, and the value is not read again.
    #[inline]
    unsafe fn read(&self) -> T {
        self.value.with(|value| {
            // SAFETY: the caller ensures that the value is initialised and not accessed elsewhere.
            unsafe { value.cast::<T>().read() }
        })
    }
}

/// The exclusive right to write one slot, from the claim to the publication.
///
/// No user code runs while a claim exists. A claim that is dropped unused leaves an orphan.
struct Claim<'a, T> {
    slot: &'a Slot<T>,
    generation: u64,
}

impl<T> Claim<'_, T> {
    /// Writes the value and publishes the slot as ready.
    ///
    /// | from | to | how |
    /// |---|---|---|
    /// | `g Writing` | `g Ready` | write, store |
    #[inline]
    fn publish_value(self, value: T) {
        self.slot.value.with_mut(|memory| {
            // SAFETY: the claim excludes every other writer, and there is no reader before `Ready`.
            // The memory contains no value: the previous one was moved out before the slot was
            // vacated.
            unsafe { (*memory).write(value) };
        });
        self.publish(State::Ready);
    }

    /// Publishes the slot in `state`.
    ///
    /// | from | to | how |
    /// |---|---|---|
    /// | `g Writing` | `g Ready` | store |
    /// | `g Evicting` / `g Abandoning` | the gap | store |
    #[inline]
    fn publish(self, state: State) {
        let tag = Tag::new(self.generation, state).word();
        // ORDERING: publish:store: Release pairs with `take:load`. A plain store is enough: no
        // other thread changes a slot that is claimed.
        self.slot.tag.store(tag, Release);
    }
}

/// If a value's drop panics, the drop glue of `Box<[Slot<T>]>` goes on with the other slots.
impl<T> Drop for Slot<T> {
    fn drop(&mut self) {
        if core::mem::needs_drop::<T>() && self.peek().state() == State::Ready {
            // SAFETY: the slot is `Ready`, and `&mut self` excludes every other access.
            drop(unsafe { self.read() });
        }
    }
}
