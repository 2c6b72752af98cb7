//! A ticket on its way over a wire: the bits, their text, and what is wrong with a damaged one.

use core::fmt;
use core::str::FromStr;

use crate::ticket::Ticket;

/// How many hexadecimal digits 128 bits have.
const DIGITS: usize = 32;

/// The bits of a [`Ticket`], in the form in which they travel.
///
/// A ticket must not be made of anything but a reservation, so bits are no ticket. Whoever gets them
/// back asks the ring, or its pool, which looks whether it has ever issued them:
/// [`Ring::ticket_from_bits`](crate::Ring::ticket_from_bits).
///
/// The text is 32 hexadecimal digits, 16 for the ring and 16 for the position. Fewer or more are
/// refused, so that a cut text is not mistaken for a ticket; so are signs, blanks and prefixes. It is
/// written in lower case and read in either, since some wires change the case of what they carry.
///
/// The bits are not a secret. Whoever has seen one ticket can write down its neighbours, and the ring
/// accepts those that it has issued. Authenticate what you take from strangers.
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
/// It can be serialized and deserialized: as its text in formats that people read, such as JSON, and
/// as 16 bytes, the highest first, in others. A `Ticket` can be serialized in the same form, and not be
/// deserialized. Give a message's type a field of `TicketBits`.
///
/// # Progress
///
/// Wait-free, whatever is done with it: it is plain data.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TicketBits(u128);

impl From<Ticket> for TicketBits {
    fn from(ticket: Ticket) -> TicketBits {
        TicketBits(ticket.to_bits())
    }
}

/// Any bits will do: the ring decides what they are worth.
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
        let mut bits = 0;
        // Not `from_str_radix`, which takes a sign, and fewer digits.
        for (at, found) in text.chars().enumerate() {
            if at == DIGITS {
                return Err(ParseTicketError::TooLong { length: text.chars().count() });
            }
            let digit = found.to_digit(16).ok_or(ParseTicketError::NotHex { at, found })?;
            bits = bits << 4 | u128::from(digit);
        }
        match text.len() {
            DIGITS => Ok(TicketBits(bits)),
            length => Err(ParseTicketError::TooShort { length }),
        }
    }
}

/// Why a text is not that of a ticket's bits.
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
    /// It ends too early.
    TooShort {
        /// How many digits it has, below 32.
        length: usize,
    },
    /// It goes on after the last digit.
    TooLong {
        /// How many characters it has, above 32.
        length: usize,
    },
    /// Something else stands among the first 32 characters.
    NotHex {
        /// How many digits come before it.
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
