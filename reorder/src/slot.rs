//! One cell of the ring: a tag and room for a value.
//!
//! Every `unsafe` access to a value is in this file. The tag decides who may
//! touch the value: between claim and publish, the claimer; from `Ready` on,
//! the side that takes; at all other times, nobody.
//!
//! Transitions of generation `g` (`docs/ALGORITHM.md` has the whole table):
//!
//! ```text
//!              announce                claim             publish
//!   g Vacant ------------> g Waited ----------> g Writing -------> g Ready
//!      |  |                                        ^  |               |
//!      |  +------------------- claim --------------+  | gap           | take
//!      | evict, abandon                               v               v
//!      +--------------------------> g Evicted / g Abandoned -> g+1 Vacant
//! ```

#[cfg(all(test, not(reorder_loom)))]
#[path = "tests/hold.rs"]
pub(crate) mod hold;

use core::mem::MaybeUninit;
use core::task::Waker;

use crate::delivery::Gap;
use crate::primitive::Ordering::{Acquire, Relaxed, Release};
use crate::primitive::{AtomicU64, UnsafeCell, WakerCell};
use crate::tag::{State, Tag};

pub(crate) struct Slot<T> {
    tag: AtomicU64,
    value: UnsafeCell<MaybeUninit<T>>,
}

// SAFETY: a value enters through `complete` on one thread and leaves on another, which is sending
// it; the tag protocol never lets two threads see it at once, so `T: Sync` is not needed.
unsafe impl<T: Send> Sync for Slot<T> {}

/// What a slot held when its side closed the window over it.
pub(crate) enum Reclaimed<T> {
    /// A value that nobody took. It is to be dropped, after the slot was handed on.
    Value(T),
    /// Nothing: missing, a gap, or handed on before.
    Nothing,
    /// A completer is in mid-write. The slot stays with it.
    Orphan,
}

impl Gap {
    const fn state(self) -> State {
        match self {
            Gap::Evicted => State::Evicted,
            Gap::Abandoned => State::Abandoned,
        }
    }
}

impl<T> Slot<T> {
    /// A slot that is armed for `generation`.
    pub(crate) fn armed(generation: u64) -> Slot<T> {
        Slot {
            tag: AtomicU64::new(Tag::new(generation, State::Vacant).word()),
            value: UnsafeCell::new(MaybeUninit::uninit()),
        }
    }

    /// Puts the result of `generation` into the slot, or hands it back with the tag that refused it.
    /// Returns the waker of the consumer, if it waits for this: it is to be used.
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
        waiter: &WakerCell,
    ) -> Result<Option<Waker>, (Tag, T)> {
        match self.claim(generation, State::Vacant) {
            Ok(claim) => {
                claim.publish_value(value);
                Ok(None)
            }
            Err(seen) => self.complete_cold(generation, seen, value, waiter),
        }
    }

    #[cold]
    #[inline(never)]
    fn complete_cold(
        &self,
        generation: u64,
        seen: Tag,
        value: T,
        waiter: &WakerCell,
    ) -> Result<Option<Waker>, (Tag, T)> {
        match self.claim_waited(generation, seen, waiter) {
            Ok((claim, waker)) => {
                claim.publish_value(value);
                Ok(waker)
            }
            Err(seen) => Err((seen, value)),
        }
    }

    /// Ends `generation` without a value, or says which tag refused. Returns the waker of the
    /// consumer, if it waits for this: it is to be used.
    ///
    /// | from | to | how |
    /// |---|---|---|
    /// | `g Vacant` | `g Evicted` / `g Abandoned` | CAS |
    /// | `g Waited` | `g Writing`, then the gap | CAS, store; the waker is returned |
    /// | any other | unchanged | refused |
    pub(crate) fn give_up(
        &self,
        generation: u64,
        gap: Gap,
        waiter: &WakerCell,
    ) -> Result<Option<Waker>, Tag> {
        let vacant = Tag::new(generation, State::Vacant).word();
        let given_up = Tag::new(generation, gap.state()).word();
        // ORDERING: give_up:gap: Release pairs with `take:load`, so that what happened before the
        // eviction is seen by whoever takes the gap; on failure Acquire, as for `complete:claim`.
        let Err(seen) = self.tag.compare_exchange(vacant, given_up, Release, Acquire) else {
            return Ok(None);
        };
        let (claim, waker) = self.claim_waited(generation, Tag::from_word(seen), waiter)?;
        claim.publish(gap.state());
        Ok(waker)
    }

    /// The right to write `generation`, if the tag still is `(generation, from)`.
    #[inline]
    fn claim(&self, generation: u64, from: State) -> Result<Claim<'_, T>, Tag> {
        let from = Tag::new(generation, from).word();
        let writing = Tag::new(generation, State::Writing).word();
        // ORDERING: complete:claim: Acquire pairs with `take:vacate`, so that the write of this
        // value comes after the previous one was moved out; a ticket that reached this thread by
        // a relaxed channel brings no such order with it. On failure Acquire, pairing with
        // `reclaim:*`, so that the base read for the reason is the closed batch's end.
        match self.tag.compare_exchange(from, writing, Acquire, Acquire) {
            Ok(_) => Ok(Claim { slot: self, generation }),
            Err(seen) => Err(Tag::from_word(seen)),
        }
    }

    /// Claims a slot that the consumer waits for, and with it the consumer's waker.
    ///
    /// `Waited` is cleared only by handing the slot on or by a claim, so one further attempt
    /// settles it. The waker is taken *before* the slot is published: afterwards, the one in the
    /// cell may belong to the consumer's next wait, and would be spent on a head that it has seen.
    fn claim_waited(
        &self,
        generation: u64,
        seen: Tag,
        waiter: &WakerCell,
    ) -> Result<(Claim<'_, T>, Option<Waker>), Tag> {
        if seen != Tag::new(generation, State::Waited) {
            return Err(seen);
        }
        let claim = self.claim(generation, State::Waited)?;
        let waker = waiter.take();
        Ok((claim, waker))
    }

    /// Leaves the consumer's wish to be woken on the slot. `false` if the slot is not missing any
    /// more. The waker must have been registered before.
    ///
    /// | from | to | how |
    /// |---|---|---|
    /// | `g Vacant` | `g Waited` | CAS |
    /// | `g Waited` | unchanged | the failed CAS is the re-load |
    /// | any other | unchanged | `false` |
    pub(crate) fn announce(&self, generation: u64) -> bool {
        let vacant = Tag::new(generation, State::Vacant).word();
        let waited = Tag::new(generation, State::Waited).word();
        // ORDERING: announce:wish: Release pairs with `complete:claim` from `Waited`, so that the
        // claimer's take of the waker comes after its registration. A failure needs no more than
        // coherence: a claimer that took the previous waker synchronised through the waker cell.
        match self.tag.compare_exchange(vacant, waited, Release, Relaxed) {
            Ok(_) => true,
            Err(seen) => seen == waited,
        }
    }

    /// The tag now, for views and decisions that a later access confirms.
    pub(crate) fn peek(&self) -> Tag {
        // ORDERING: peek:load: Relaxed; every decision taken on it is confirmed by an access with
        // an order of its own.
        Tag::from_word(self.tag.load(Relaxed))
    }

    /// As `take`, if there is a value: the hot path.
    ///
    /// | from | to | how |
    /// |---|---|---|
    /// | `g Ready` | `g+1 Vacant` | load, store |
    /// | any other | unchanged | `None` |
    ///
    /// # Safety
    ///
    /// Only the side that holds the ring's right to take may call this.
    #[inline]
    pub(crate) unsafe fn take_value(&self, generation: u64) -> Option<T> {
        if self.settled() != Tag::new(generation, State::Ready) {
            return None;
        }
        // SAFETY: the tag says that the value was published, and `settled` made it visible; the
        // caller is the only one who takes, and it hands the slot on below.
        let value = unsafe { self.read() };
        self.vacate(generation);
        Some(value)
    }

    /// Moves the outcome of `generation` out and arms the slot for the next one.
    ///
    /// | from | to | how |
    /// |---|---|---|
    /// | `g Ready` / gap | `g+1 Vacant` | load, store |
    /// | any other | unchanged | the tag is returned |
    ///
    /// # Safety
    ///
    /// Only the side that holds the ring's right to take may call this.
    pub(crate) unsafe fn take(&self, generation: u64) -> Result<Result<T, Gap>, Tag> {
        let tag = self.settled();
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
        self.vacate(generation);
        Ok(outcome)
    }

    #[inline]
    fn settled(&self) -> Tag {
        // ORDERING: take:load: Acquire pairs with `publish:store` and `give_up:gap`: the value, and
        // all that its completer did before, is seen before the delivery.
        Tag::from_word(self.tag.load(Acquire))
    }

    /// Ends `generation` for good, whatever it holds, when its batch closes.
    ///
    /// | from | to | how |
    /// |---|---|---|
    /// | `g Vacant` / `g Waited` | `g+1 Vacant` | CAS |
    /// | `g Ready` / gap | `g+1 Vacant` | load, store; the value is returned |
    /// | `g Writing` | unchanged | an orphan |
    /// | `g+1` and later | unchanged | handed on before |
    ///
    /// # Safety
    ///
    /// Only the side that holds the ring's right to take may call this.
    pub(crate) unsafe fn reclaim(&self, generation: u64) -> Reclaimed<T> {
        let armed = Tag::new(generation + 1, State::Vacant).word();
        loop {
            // SAFETY: passed on to the caller.
            let tag = match unsafe { self.take(generation) } {
                Ok(outcome) => return outcome.map_or(Reclaimed::Nothing, Reclaimed::Value),
                Err(tag) => tag,
            };
            if tag.generation() != generation {
                return Reclaimed::Nothing;
            }
            if tag.state() == State::Writing {
                return Reclaimed::Orphan;
            }
            // ORDERING: reclaim:revoke: Release pairs with a refused `complete:claim`, which then
            // reads the new base. The claim of the next generation is ordered after the previous
            // take by the release sequence that this read-modify-write continues. A failure is
            // followed by `take:load`.
            if self.tag.compare_exchange(tag.word(), armed, Release, Relaxed).is_ok() {
                return Reclaimed::Nothing;
            }
            // A completer or an eviction came first: the tag left `Vacant` or `Waited` for good,
            // so the next round finds something to take, or an orphan. Two rounds at most.
        }
    }

    /// Clears a wish that nobody will answer: its slot was never reserved in the closed batch.
    ///
    /// | from | to | how |
    /// |---|---|---|
    /// | `g Waited` | `g Vacant` | load, store |
    pub(crate) fn forget_wish(&self, generation: u64) {
        if self.peek() == Tag::new(generation, State::Waited) {
            let vacant = Tag::new(generation, State::Vacant).word();
            // ORDERING: forget:store: Release, so that the next claim still is ordered after the
            // previous take, which this thread has seen through the lease. No ticket for this
            // generation exists, so nothing races with the store.
            self.tag.store(vacant, Release);
        }
    }

    #[inline]
    fn vacate(&self, generation: u64) {
        let armed = Tag::new(generation + 1, State::Vacant).word();
        // ORDERING: take:vacate: Release pairs with `complete:claim` of the next generation: the
        // value was moved out before another is written.
        self.tag.store(armed, Release);
    }

    /// # Safety
    ///
    /// The slot is `Ready`, the caller has the right to take, and nobody reads the value again.
    #[inline]
    unsafe fn read(&self) -> T {
        self.value.with(|value| {
            // SAFETY: the caller vouches for an initialised value and for being alone with it.
            unsafe { value.cast::<T>().read() }
        })
    }
}

/// The exclusive right to write one slot, from its claim to its publication.
///
/// No user code runs while one exists. One that were dropped unused would leave an orphan.
struct Claim<'a, T> {
    slot: &'a Slot<T>,
    generation: u64,
}

impl<T> Claim<'_, T> {
    /// | from | to | how |
    /// |---|---|---|
    /// | `g Writing` | `g Ready` | write, store |
    #[inline]
    fn publish_value(self, value: T) {
        self.slot.value.with_mut(|place| {
            // SAFETY: the claim excludes every other writer, and no reader looks before `Ready`.
            // The place holds no value: the generation before was moved out when it was handed on.
            unsafe { (*place).write(value) };
        });
        self.publish(State::Ready);
    }

    /// | from | to | how |
    /// |---|---|---|
    /// | `g Writing` | `g Ready` / gap | store |
    #[inline]
    fn publish(self, state: State) {
        let tag = Tag::new(self.generation, state).word();
        // ORDERING: publish:store: Release pairs with `take:load`. A plain store suffices: nobody
        // else changes a slot that is `Writing`.
        self.slot.tag.store(tag, Release);
    }
}

/// The glue of `Box<[Slot<T>]>` goes on with the other slots when one of these panics.
impl<T> Drop for Slot<T> {
    fn drop(&mut self) {
        if core::mem::needs_drop::<T>() && self.peek().state() == State::Ready {
            // SAFETY: the slot is `Ready`, and `&mut self` makes this the only access left.
            drop(unsafe { self.read() });
        }
    }
}
