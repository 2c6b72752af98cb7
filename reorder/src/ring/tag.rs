//! The tag: the one atomic word of a slot, with a generation and a state.
//!
//! ```text
//!  63                                                    3  2   0
//! +--------------------------------------------------------+-----+
//! | generation: number of times the slot was vacated       |state|
//! +--------------------------------------------------------+-----+
//! ```
//!
//! A zeroed word is `Vacant` in generation 0, so zeroed memory is a ring that is ready for use.

/// The number of low bits that contain the state.
const STATE_BITS: u32 = 3;

/// The number of generations that a tag can distinguish.
pub(crate) const GENERATIONS: u64 = 1 << (u64::BITS - STATE_BITS);

/// The state of a slot in the generation of its tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub(crate) enum State {
    /// A thread with the position's ticket may claim the slot.
    Vacant = 0,
    /// Vacant, and the consumer waits for the slot. The thread that claims it takes the waker.
    Waited = 1,
    /// Claimed: one thread writes the value.
    Writing = 2,
    /// The value may be taken.
    Ready = 3,
    /// A gap: the position was evicted.
    Evicted = 4,
    /// A gap: the permit of the position was dropped.
    Abandoned = 5,
    /// Claimed: one thread takes the consumer's waker, and then stores `Evicted`.
    Evicting = 6,
    /// Claimed: one thread takes the consumer's waker, and then stores `Abandoned`.
    Abandoning = 7,
}

impl State {
    /// Returns `true` if a thread has claimed the slot, and has not published it yet.
    #[inline]
    pub(crate) const fn is_claimed(self) -> bool {
        matches!(self, State::Writing | State::Evicting | State::Abandoning)
    }
}

/// A generation and a state in one word.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tag(u64);

impl Tag {
    #[inline]
    pub(crate) const fn new(generation: u64, state: State) -> Tag {
        Tag(generation << STATE_BITS | state as u64)
    }

    #[inline]
    pub(crate) const fn from_word(word: u64) -> Tag {
        Tag(word)
    }

    #[inline]
    pub(crate) const fn word(self) -> u64 {
        self.0
    }

    /// Returns the tag of the slot after its value is taken. `self` is `Ready`.
    #[inline]
    pub(crate) const fn vacated(self) -> Tag {
        debug_assert!(matches!(self.state(), State::Ready));
        Tag(self.0 - State::Ready as u64 + (1 << STATE_BITS))
    }

    #[inline]
    pub(crate) const fn generation(self) -> u64 {
        self.0 >> STATE_BITS
    }

    #[inline]
    pub(crate) const fn state(self) -> State {
        match self.0 & ((1 << STATE_BITS) - 1) {
            0 => State::Vacant,
            1 => State::Waited,
            2 => State::Writing,
            3 => State::Ready,
            4 => State::Evicted,
            5 => State::Abandoned,
            6 => State::Evicting,
            _ => State::Abandoning,
        }
    }
}

impl core::fmt::Debug for Tag {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}:{:?}", self.generation(), self.state())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATES: [State; 8] = [
        State::Vacant,
        State::Waited,
        State::Writing,
        State::Ready,
        State::Evicted,
        State::Abandoned,
        State::Evicting,
        State::Abandoning,
    ];

    #[test]
    fn every_state_survives_the_round_trip_at_both_ends_of_the_generations() {
        for generation in [0, 1, GENERATIONS / 2, GENERATIONS - 1] {
            for state in STATES {
                let tag = Tag::new(generation, state);
                assert_eq!((tag.generation(), tag.state()), (generation, state));
                assert_eq!(Tag::from_word(tag.word()), tag);
            }
        }
        for generation in [0, 1, GENERATIONS - 2] {
            let vacant = Tag::new(generation + 1, State::Vacant);
            assert_eq!(Tag::new(generation, State::Ready).vacated(), vacant);
        }
    }

    #[test]
    fn zeroed_memory_is_a_vacant_slot() {
        assert_eq!(Tag::from_word(0), Tag::new(0, State::Vacant));
    }
}
