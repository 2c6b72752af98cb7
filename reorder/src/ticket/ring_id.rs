//! The identity of a ring, as plain data, and the errors of a number or a text that is none.

use core::fmt;
use core::num::NonZeroU64;
use core::str::FromStr;

use crate::ticket::hex::{self, HexError};

/// The number of hexadecimal digits of 64 bits.
const DIGITS: usize = 16;

/// The identity of a [`Ring`](crate::Ring), as plain data for a file or a message.
///
/// A ticket names its ring by this identity. [`Ring::id`](crate::Ring::id) returns it, and
/// [`Ring::resume`](crate::Ring::resume) makes a ring that has it.
///
/// An identity is a number from 1 to 2<sup>63</sup> - 1. The text is its 16 hexadecimal digits. A
/// text with fewer or more digits is refused, so a text that was cut is not taken for an identity.
/// Signs, blanks and prefixes are refused, too. `Display` writes lower case, and parsing accepts
/// both cases.
///
/// ```
/// use reorder_ring::{Ring, RingId};
///
/// let ring = Ring::<u8>::with_capacity(4)?;
/// let text = ring.id().to_string();
/// assert_eq!(text.len(), 16);
/// assert_eq!(text.parse::<RingId>()?, ring.id());
///
/// let number = u64::from(ring.id());
/// assert_eq!(RingId::try_from(number)?, ring.id());
/// assert_eq!(ring.open()?.reserve()?.to_bits() >> 64, u128::from(number));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # With the feature `serde`
///
/// `RingId` can be serialized and deserialized. In formats for people, such as JSON, it is its
/// text. In other formats, it is 8 bytes, the highest first.
///
/// # Progress
///
/// Wait-free: it is plain data.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RingId(NonZeroU64);

impl RingId {
    /// The number of bits of an identity.
    pub(crate) const BITS: u32 = 63;
    const MASK: u64 = (1 << Self::BITS) - 1;

    /// Returns the identity with these low bits, if they are not all 0.
    pub(crate) fn from_low_bits(number: u64) -> Option<RingId> {
        NonZeroU64::new(number & Self::MASK).map(RingId)
    }

    /// Returns an identity without the bit above it.
    pub(crate) fn without_mark(marked: NonZeroU64) -> RingId {
        // The number below the mark is an identity, so it is never 0, and `marked` is not used.
        RingId(NonZeroU64::new(marked.get() & Self::MASK).unwrap_or(marked))
    }

    pub(crate) fn get(self) -> NonZeroU64 {
        self.0
    }
}

impl From<RingId> for u64 {
    fn from(id: RingId) -> u64 {
        id.0.get()
    }
}

/// Accepts the numbers from 1 to 2<sup>63</sup> - 1.
impl TryFrom<u64> for RingId {
    type Error = RingIdError;

    fn try_from(given: u64) -> Result<RingId, RingIdError> {
        match NonZeroU64::new(given) {
            Some(number) if given <= Self::MASK => Ok(RingId(number)),
            _ => Err(RingIdError { given }),
        }
    }
}

impl fmt::Display for RingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:0DIGITS$x}", self.0)
    }
}

impl fmt::Debug for RingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RingId({self})")
    }
}

impl FromStr for RingId {
    type Err = ParseRingIdError;

    fn from_str(text: &str) -> Result<RingId, ParseRingIdError> {
        let number = hex::parse(text, DIGITS).map_err(|error| match error {
            HexError::TooShort { length } => ParseRingIdError::TooShort { length },
            HexError::TooLong { length } => ParseRingIdError::TooLong { length },
            HexError::NotHex { at, found } => ParseRingIdError::NotHex { at, found },
        })?;
        // 16 digits are 64 bits.
        let RingIdError { given } = match RingId::try_from(number as u64) {
            Ok(id) => return Ok(id),
            Err(error) => error,
        };
        Err(ParseRingIdError::OutOfRange { given })
    }
}

/// The error for a number that is not the identity of a ring.
///
/// ```
/// use reorder_ring::RingId;
///
/// let error = RingId::try_from(0).unwrap_err();
/// assert_eq!(error.given, 0);
/// assert_eq!(
///     error.to_string(),
///     "0000000000000000 is no identity of a ring: \
///      they are from 0000000000000001 to 7fffffffffffffff"
/// );
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RingIdError {
    /// The given number.
    pub given: u64,
}

impl fmt::Display for RingIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (given, largest) = (self.given, RingId::MASK);
        write!(
            f,
            "{given:0DIGITS$x} is no identity of a ring: they are from {:0DIGITS$x} to \
             {largest:0DIGITS$x}",
            1
        )
    }
}

impl core::error::Error for RingIdError {}

/// The reason why a text is not the identity of a ring.
///
/// ```
/// use reorder_ring::{ParseRingIdError, RingId};
///
/// let error = "0123".parse::<RingId>().unwrap_err();
/// assert_eq!(error, ParseRingIdError::TooShort { length: 4 });
/// assert_eq!(error.to_string(), "the identity of a ring has 16 hexadecimal digits, not 4");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ParseRingIdError {
    /// The text is too short.
    TooShort {
        /// The number of its digits, below 16.
        length: usize,
    },
    /// The text is too long.
    TooLong {
        /// The number of its characters, above 16.
        length: usize,
    },
    /// One of the first 16 characters is no hexadecimal digit.
    NotHex {
        /// The number of digits before the character.
        at: usize,
        /// The character.
        found: char,
    },
    /// The number is 0, or above 2<sup>63</sup> - 1. No ring has it.
    OutOfRange {
        /// The number.
        given: u64,
    },
}

impl fmt::Display for ParseRingIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            ParseRingIdError::TooShort { length } => {
                write!(f, "the identity of a ring has {DIGITS} hexadecimal digits, not {length}")
            }
            ParseRingIdError::TooLong { length } => {
                write!(f, "the identity of a ring has {DIGITS} characters, not {length}")
            }
            ParseRingIdError::NotHex { at, found } => write!(
                f,
                "{found:?} after {at} digits: the identity of a ring has {DIGITS} of 0-9, a-f, A-F"
            ),
            ParseRingIdError::OutOfRange { given } => RingIdError { given }.fmt(f),
        }
    }
}

impl core::error::Error for ParseRingIdError {}
