//! The bits of a ticket, for a wire: their text, and the errors of a text that is damaged.
//!
//! ```text
//!  127                              64 63                               0
//! +-----------------------------------+----------------------------------+
//! | identity of the ring              | position                         |   32 hexadecimal digits
//! +-----------------------------------+----------------------------------+
//! ```

use core::fmt;
use core::str::FromStr;

use crate::ticket::Ticket;
use crate::ticket::hex::{self, HexError};

/// The number of hexadecimal digits of 128 bits.
const DIGITS: usize = 32;

/// The bits of a [`Ticket`], for a message or a file.
///
/// Bits are not a ticket. [`Ring::ticket_from_bits`](crate::Ring::ticket_from_bits), or the same
/// method of a pool, makes a ticket from bits that the ring has issued, and refuses all others.
///
/// The text is 32 hexadecimal digits, 16 for the ring and 16 for the position. A text with fewer or
/// more digits is refused, so a text that was cut is not taken for a ticket. Signs, blanks and
/// prefixes are refused, too. `Display` writes lower case. Parsing accepts both cases, since some
/// wires change the case.
///
/// The bits are not a secret. A peer that has seen one ticket can compute other tickets, and the
/// ring accepts them if it has issued them. Authenticate bits that come from strangers.
///
/// ```
/// use reorder_ring::{Ring, TicketBits};
///
/// let ring = Ring::with_capacity(4)?;
/// let mut batch = ring.open()?;
/// let ticket = batch.reserve()?;
///
/// let header = TicketBits::from(ticket).to_string();
/// assert_eq!(header.len(), 32);
///
/// // Later, in the reply:
/// let bits: TicketBits = header.parse()?;
/// let ticket = ring.ticket_from_bits(bits.into())?;
/// ring.complete(ticket, "reply")?;
/// assert_eq!(batch.try_next()?.outcome, Ok("reply"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # With the feature `serde`
///
/// `TicketBits` can be serialized and deserialized. In formats for people, such as JSON, it is its
/// text. In other formats, it is 16 bytes, the highest first. A `Ticket` can be serialized in the
/// same form, but not deserialized. Use `TicketBits` as a field of a message's type.
///
/// # Progress
///
/// Wait-free: it is plain data.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TicketBits(u128);

impl From<Ticket> for TicketBits {
    fn from(ticket: Ticket) -> TicketBits {
        TicketBits(ticket.to_bits())
    }
}

/// Accepts any bits. The ring checks them.
impl From<u128> for TicketBits {
    fn from(bits: u128) -> TicketBits {
        TicketBits(bits)
    }
}

impl From<TicketBits> for u128 {
    fn from(bits: TicketBits) -> u128 {
        bits.0
    }
}

impl fmt::Display for TicketBits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:0DIGITS$x}", self.0)
    }
}

impl fmt::Debug for TicketBits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TicketBits({self})")
    }
}

impl FromStr for TicketBits {
    type Err = ParseTicketError;

    fn from_str(text: &str) -> Result<TicketBits, ParseTicketError> {
        hex::parse(text, DIGITS).map(TicketBits).map_err(|error| match error {
            HexError::TooShort { length } => ParseTicketError::TooShort { length },
            HexError::TooLong { length } => ParseTicketError::TooLong { length },
            HexError::NotHex { at, found } => ParseTicketError::NotHex { at, found },
        })
    }
}

/// The reason why a text is not the bits of a ticket.
///
/// ```
/// use reorder_ring::{ParseTicketError, TicketBits};
///
/// let error = "0123".parse::<TicketBits>().unwrap_err();
/// assert_eq!(error, ParseTicketError::TooShort { length: 4 });
/// assert_eq!(error.to_string(), "the text of a ticket has 32 hexadecimal digits, not 4");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ParseTicketError {
    /// The text is too short.
    TooShort {
        /// The number of its digits, below 32.
        length: usize,
    },
    /// The text is too long.
    TooLong {
        /// The number of its characters, above 32.
        length: usize,
    },
    /// One of the first 32 characters is no hexadecimal digit.
    NotHex {
        /// The number of digits before the character.
        at: usize,
        /// The character.
        found: char,
    },
}

impl fmt::Display for ParseTicketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ParseTicketError::TooShort { length } => {
                write!(f, "the text of a ticket has {DIGITS} hexadecimal digits, not {length}")
            }
            ParseTicketError::TooLong { length } => {
                write!(f, "the text of a ticket has {DIGITS} characters, not {length}")
            }
            ParseTicketError::NotHex { at, found } => write!(
                f,
                "{found:?} after {at} digits: the text of a ticket has {DIGITS} of 0-9, a-f, A-F"
            ),
        }
    }
}

impl core::error::Error for ParseTicketError {}
