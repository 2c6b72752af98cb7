//! Values that say for which position they were made, and are counted when they are dropped.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// A position, and its place in its batch: what a ticket and its value have in common.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Name {
    /// Counted from 1.
    pub(super) batch: u64,
    pub(super) index: u64,
    pub(super) position: u64,
}

impl Name {
    /// In one word, which one atomic load brings whole.
    pub(super) fn to_word(self) -> u64 {
        assert!(self.position < 1 << 32 && self.batch < 1 << 24 && self.index < 1 << 8);
        self.position << 32 | self.batch << 8 | self.index
    }

    /// `None` for a word in which nothing was stored yet.
    pub(super) fn from_word(word: u64) -> Option<Name> {
        let batch = word >> 8 & 0xFF_FFFF;
        (batch != 0).then_some(Name { batch, index: word & 0xFF, position: word >> 32 })
    }
}

/// How many values were dropped.
#[derive(Default)]
pub(super) struct Drops {
    /// By somebody who had got them back.
    retrieved: AtomicU64,
    /// By the ring.
    reclaimed: AtomicU64,
}

impl Drops {
    pub(super) fn counts(&self) -> (u64, u64) {
        (self.retrieved.load(Relaxed), self.reclaimed.load(Relaxed))
    }
}

/// A value for one position. Boxed, so that a second drop is a second release of memory.
pub(super) struct Stamped<'a>(Box<Stamp<'a>>);

struct Stamp<'a> {
    ring: u128,
    name: Name,
    checksum: u64,
    retrieved: bool,
    drops: &'a Drops,
}

impl<'a> Stamped<'a> {
    pub(super) fn new(ring: u128, name: Name, drops: &'a Drops) -> Self {
        let checksum = checksum(ring, name);
        Stamped(Box::new(Stamp { ring, name, checksum, retrieved: false, drops }))
    }

    /// The end of a value that came back or was delivered: it must be the one for this position.
    #[track_caller]
    pub(super) fn retrieve(mut self, ring: u128, name: Name) {
        assert_eq!((self.0.ring, self.0.name), (ring, name), "a value of another position");
        assert_eq!(self.0.checksum, checksum(ring, name), "a torn value");
        self.0.retrieved = true;
    }
}

impl Drop for Stamped<'_> {
    fn drop(&mut self) {
        let stamp = &mut *self.0;
        assert_eq!(stamp.checksum, checksum(stamp.ring, stamp.name), "a torn value, or a dead one");
        stamp.checksum = !stamp.checksum;
        let drops = stamp.drops;
        let counter = if stamp.retrieved { &drops.retrieved } else { &drops.reclaimed };
        counter.fetch_add(1, Relaxed);
    }
}

fn checksum(ring: u128, name: Name) -> u64 {
    let mixed = (ring >> 64) as u64 ^ name.to_word();
    mixed.wrapping_mul(0xD6E8_FEB8_6659_FD93).rotate_left(29) ^ name.position
}
