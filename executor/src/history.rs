//! What items of a kind cost when they ran last. A hint, by which a batch that its caller finishes in
//! no time is spared the trouble of being shared.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// How many kinds are remembered. Another one with the same place takes it over.
pub(crate) const KINDS: usize = 64;
/// Costs are kept for so many items, to tell fractions of nanoseconds.
const LOT: u32 = 1 << 10;

/// A kind of job, by the address of code that was compiled for it alone.
#[derive(Clone, Copy)]
pub(crate) struct Kind(usize);

impl Kind {
    pub(crate) fn of_code(code: *const ()) -> Kind {
        Kind(code.addr())
    }

    /// Its place, and what tells it from others there.
    pub(crate) fn place(self) -> (usize, u32) {
        let mixed = (self.0 as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed as usize >> 16 & (KINDS - 1), (mixed >> 32) as u32)
    }
}

/// For each place, a kind and the nanoseconds of a lot, in 32 bits each.
pub(crate) struct History([AtomicU64; KINDS]);

impl History {
    pub(crate) fn new() -> History {
        History([const { AtomicU64::new(0) }; KINDS])
    }

    /// How long so many items should take, if any of the kind ran before.
    pub(crate) fn expect(&self, kind: Kind, items: usize) -> Option<Duration> {
        let (place, tag) = kind.place();
        // ORDERING: history:expect: Relaxed; a hint.
        let word = self.0[place].load(Relaxed);
        let nanos = u64::from(word as u32).saturating_mul(items as u64) / u64::from(LOT);
        ((word >> 32) as u32 == tag && word != 0).then(|| Duration::from_nanos(nanos))
    }

    /// So many items, at least 1, took so long.
    pub(crate) fn note(&self, kind: Kind, items: usize, took: Duration) {
        let (place, tag) = kind.place();
        let lot = took.as_nanos() * u128::from(LOT) / items as u128;
        let lot = u32::try_from(lot).unwrap_or(u32::MAX);
        // ORDERING: history:note: Relaxed; a hint.
        self.0[place].store(u64::from(tag) << 32 | u64::from(lot), Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_kind_costs_is_scaled_to_its_items() {
        let (history, kind) = (History::new(), Kind(4096));
        assert_eq!(history.expect(kind, 5), None);
        history.note(kind, 64, Duration::from_nanos(96));
        assert_eq!(history.expect(kind, 64), Some(Duration::from_nanos(96)));
        assert_eq!(history.expect(kind, 1_000_000), Some(Duration::from_nanos(1_500_000)));
        history.note(kind, 1, Duration::MAX);
        assert!(history.expect(kind, 1).unwrap() > Duration::from_millis(4), "the most it keeps");
    }

    #[test]
    fn kinds_are_not_mistaken_for_each_other() {
        let history = History::new();
        let kinds = || (0..2 * KINDS).map(|kind| Kind(4096 + 16 * kind));
        for (kind, nanos) in kinds().zip(1..) {
            history.note(kind, 1, Duration::from_nanos(nanos));
        }
        let known = kinds().zip(1..).filter_map(|(kind, nanos)| {
            let expected = history.expect(kind, 1)?;
            assert_eq!(expected, Duration::from_nanos(nanos));
            Some(())
        });
        assert!((1..=KINDS).contains(&known.count()));
    }
}
