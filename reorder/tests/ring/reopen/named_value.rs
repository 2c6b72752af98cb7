//! Values that carry the name of their position, and whose drops are counted.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// The name of a position: its batch, and its index there. A value carries the name of its ticket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Name {
    /// The number of the batch, from 1.
    pub(super) batch: u64,
    pub(super) index: u64,
    pub(super) position: u64,
}

impl Name {
    /// Packs the name into one word, for atomic loads and stores.
    pub(super) fn to_word(self) -> u64 {
        assert!(self.position < 1 << 32 && self.batch < 1 << 24 && self.index < 1 << 8);
        self.position << 32 | self.batch << 8 | self.index
    }

    /// Returns `None` if no name was stored in the word yet.
    pub(super) fn from_word(word: u64) -> Option<Name> {
        let batch = word >> 8 & 0xFF_FFFF;
        (batch != 0).then_some(Name { batch, index: word & 0xFF, position: word >> 32 })
    }
}

/// The numbers of dropped values.
#[derive(Default)]
pub(super) struct DropCounts {
    /// Values that were dropped after they had been delivered or returned.
    retrieved: AtomicU64,
    /// Values that the ring dropped.
    reclaimed: AtomicU64,
}

impl DropCounts {
    pub(super) fn counts(&self) -> (u64, u64) {
        (self.retrieved.load(Relaxed), self.reclaimed.load(Relaxed))
    }
}

/// A value for one position. It is boxed, so that a second drop frees memory twice.
pub(super) struct NamedValue<'a>(Box<Contents<'a>>);

struct Contents<'a> {
    ring: u128,
    name: Name,
    checksum: u64,
    retrieved: bool,
    drops: &'a DropCounts,
}

impl<'a> NamedValue<'a> {
    pub(super) fn new(ring: u128, name: Name, drops: &'a DropCounts) -> Self {
        let checksum = checksum(ring, name);
        NamedValue(Box::new(Contents { ring, name, checksum, retrieved: false, drops }))
    }

    /// Drops a value that was delivered or returned. It must be the value of this position.
    #[track_caller]
    pub(super) fn retrieve(mut self, ring: u128, name: Name) {
        assert_eq!((self.0.ring, self.0.name), (ring, name), "a value of another position");
        assert_eq!(self.0.checksum, checksum(ring, name), "a torn value");
        self.0.retrieved = true;
    }
}

impl Drop for NamedValue<'_> {
    fn drop(&mut self) {
        let contents = &mut *self.0;
        let expected = checksum(contents.ring, contents.name);
        assert_eq!(contents.checksum, expected, "a torn value, or a dropped one");
        contents.checksum = !contents.checksum;
        let drops = contents.drops;
        let counter = if contents.retrieved { &drops.retrieved } else { &drops.reclaimed };
        counter.fetch_add(1, Relaxed);
    }
}

fn checksum(ring: u128, name: Name) -> u64 {
    let mixed = (ring >> 64) as u64 ^ name.to_word();
    mixed.wrapping_mul(0xD6E8_FEB8_6659_FD93).rotate_left(29) ^ name.position
}
