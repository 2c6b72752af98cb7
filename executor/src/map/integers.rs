//! Ranges of integers, whose items are computed and need not be pulled.

use std::any::TypeId;
use std::marker::PhantomData;
use std::mem::transmute_copy;
use std::ops::{Range, RangeInclusive};
use std::{ptr, slice};

/// The items of a range of integers.
///
/// Its type is known when the program is compiled, but Rust has no way yet to write another
/// implementation of a generic function for it. So the type is compared.
pub(crate) struct Integers<I> {
    /// The lowest bits of the first item.
    first: u64,
    items: PhantomData<fn() -> I>,
}

impl<I> Integers<I> {
    /// Returns the items of a source that has at least one, if it is a range of integers.
    pub(crate) fn of<S: Iterator<Item = I>>(source: &S) -> Option<Integers<I>> {
        if !is_integer::<I>() {
            return None;
        }
        let range = downcast::<S, Range<I>>(source).map(|range| &range.start);
        let range = range.or_else(|| downcast(source).map(RangeInclusive::<I>::start));
        range.map(|first| Integers { first: Self::bits(first), items: PhantomData })
    }

    /// The distance of the lowest bits of an `I` from those of the 8 bytes that begin with it.
    const SHIFT: u32 = if cfg!(target_endian = "big") { 64 - 8 * size_of::<I>() as u32 } else { 0 };

    /// Returns the item at `index`, which the range has.
    #[inline]
    pub(crate) fn get(&self, index: usize) -> I {
        let bits = self.first.wrapping_add(index as u64) << Self::SHIFT;
        // SAFETY: `I` is an integer of up to 64 bits, and any bits are an integer.
        unsafe { transmute_copy(&bits) }
    }

    fn bits(integer: &I) -> u64 {
        let mut bytes = [0; 8];
        // SAFETY: `I` is an integer of up to 64 bits, which has no padding.
        let of_integer =
            unsafe { slice::from_raw_parts(ptr::from_ref(integer).cast::<u8>(), size_of::<I>()) };
        bytes[..size_of::<I>()].copy_from_slice(of_integer);
        u64::from_ne_bytes(bytes) >> Self::SHIFT
    }
}

/// Returns `true` for integers of up to 64 bits.
fn is_integer<I>() -> bool {
    macro_rules! ids {
        ($($integer:ty),*) => { [$(TypeId::of::<$integer>()),*] };
    }
    ids![u8, u16, u32, u64, usize, i8, i16, i32, i64, isize].contains(&typeid::of::<I>())
}

/// Returns the value as a `T` if that is its type. `T` has no lifetimes but those in `S`.
fn downcast<S, T>(value: &S) -> Option<&T> {
    let is_same = typeid::of::<S>() == typeid::of::<T>();
    // SAFETY: the types are the same.
    is_same.then(|| unsafe { &*ptr::from_ref(value).cast::<T>() })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks that the items are known without a pull, and right.
    fn check<S: Iterator<Item: PartialEq + std::fmt::Debug> + Clone>(source: S) {
        let integers = Integers::of(&source).expect("it is a range of integers");
        for (index, item) in source.enumerate().take(1000) {
            assert_eq!(integers.get(index), item);
        }
    }

    #[test]
    fn ranges_of_integers_have_the_same_items_as_pulled() {
        check(0..200_u8);
        check(-128..=127_i8);
        check(65_000..=u16::MAX);
        check(i16::MIN..0);
        check(u32::MAX - 10..u32::MAX);
        check(-3..1_000_000_i32);
        check(u64::MAX - 5..=u64::MAX);
        check(i64::MIN..i64::MIN + 7);
        check(-2..5_isize);
        let mut used = 5..900_usize;
        used.nth(3);
        check(used);
    }

    #[test]
    fn other_sources_are_pulled() {
        assert!(Integers::of(&('a'..'f')).is_none());
        assert!(Integers::of(&(0..5_u128)).is_none());
        assert!(Integers::of(&vec![1, 2].into_iter()).is_none());
        assert!(Integers::of(&(0..5).map(|n| n + 1)).is_none());
        assert!(Integers::of(&[String::new()].iter()).is_none());
    }
}
