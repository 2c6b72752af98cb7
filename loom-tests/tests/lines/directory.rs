//! Which core has a copy of which cache line, by the protocol MESI.
//!
//! A cache never evicts a line. So the set of the cores that have a copy is the state of a line:
//!
//! | cores with a copy | state there |
//! |---|---|
//! | none | Invalid; the line is in memory |
//! | one | Exclusive, or Modified after a write |
//! | several | Shared |

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// The number of bytes that caches exchange at once.
pub(crate) const LINE: usize = 64;

/// Says where the line of an access comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Served {
    /// The core has the line.
    Hit,
    /// The line comes from memory: no cache has it.
    Memory,
    /// The line comes from another cache, or the copies of other caches are discarded.
    Transfer,
}

/// Makes a hash of the number of a line.
#[derive(Default)]
pub(crate) struct LineHasher(u64);

pub(crate) type Numbers = BuildHasherDefault<LineHasher>;

impl Hasher for LineHasher {
    fn write(&mut self, _: &[u8]) {
        unreachable!("a line has a number");
    }

    fn write_usize(&mut self, line: usize) {
        self.0 = (line as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(32);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// The cores with a copy of each line, as bits.
#[derive(Default)]
pub(crate) struct Directory(HashMap<usize, u128, Numbers>);

impl Directory {
    /// Notes that a core, below 128, reads or writes a line.
    ///
    /// | copies before | read | write |
    /// |---|---|---|
    /// | none | memory; the only copy | memory; the only copy |
    /// | the core's alone | hit | hit |
    /// | the core's, and others | hit | transfer; the others are discarded |
    /// | others only | transfer; one more copy | transfer; the others are discarded |
    pub(crate) fn access(&mut self, core: usize, line: usize, writes: bool) -> Served {
        let own = 1 << core;
        let copies = self.0.entry(line).or_default();
        let before = *copies;
        *copies = if writes { own } else { before | own };
        match before {
            0 => Served::Memory,
            _ if before == own || (!writes && before & own != 0) => Served::Hit,
            _ => Served::Transfer,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Served::{Hit, Memory, Transfer};
    use super::*;

    const READ: bool = false;
    const WRITE: bool = true;

    fn served<const N: usize>(accesses: [(usize, usize, bool); N]) -> [Served; N] {
        let mut directory = Directory::default();
        accesses.map(|(core, line, writes)| directory.access(core, line, writes))
    }

    #[test]
    fn one_core_has_its_line_for_itself() {
        let accesses = [(0, 7, READ), (0, 7, WRITE), (0, 7, READ), (0, 8, WRITE), (0, 8, WRITE)];
        assert_eq!(served(accesses), [Memory, Hit, Hit, Memory, Hit]);
    }

    #[test]
    fn readers_share_a_line() {
        let accesses = [(0, 7, WRITE), (1, 7, READ), (2, 7, READ), (0, 7, READ), (1, 7, READ)];
        assert_eq!(served(accesses), [Memory, Transfer, Transfer, Hit, Hit]);
    }

    #[test]
    fn a_write_discards_the_copies_of_others() {
        let accesses =
            [(0, 7, READ), (1, 7, READ), (0, 7, WRITE), (0, 7, WRITE), (1, 7, READ), (0, 7, READ)];
        assert_eq!(served(accesses), [Memory, Transfer, Transfer, Hit, Transfer, Hit]);
    }

    #[test]
    fn writers_take_the_line_from_each_other() {
        let accesses = [(0, 7, WRITE), (127, 7, WRITE), (0, 7, WRITE), (127, 7, READ)];
        assert_eq!(served(accesses), [Memory, Transfer, Transfer, Transfer]);
    }

    #[test]
    fn lines_are_apart() {
        let accesses = [(0, 7, WRITE), (1, 8, WRITE), (0, 7, WRITE), (1, 8, WRITE)];
        assert_eq!(served(accesses), [Memory, Memory, Hit, Hit]);
    }

    /// A hand-off takes a transfer of the value's line each way, and none of the polled word's
    /// while it does not change.
    #[test]
    fn a_flag_that_is_polled_moves_once_for_each_change() {
        let mut directory = Directory::default();
        let mut transfers = 0;
        for _ in 0..10 {
            let mut access = |core, writes| {
                transfers += u32::from(directory.access(core, 7, writes) == Transfer);
            };
            access(0, WRITE);
            (0..5).for_each(|_| access(1, READ));
        }
        assert_eq!(transfers, 10 + 9, "each change is read once, and all but the first discard");
    }
}
