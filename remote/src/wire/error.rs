//! The reasons why bytes are not a message.

use core::fmt;

use crate::wire::frame::VERSION;

/// The reason why some bytes are not a message that this version can read.
///
/// The receiver counts such a message, and asks the engine for it again a few times. Then it drops
/// the message. Nothing is lost, since the owner asks for a missing result again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WireError {
    /// The bytes do not begin as a message of this crate does.
    NotAMessage {
        /// The first two bytes.
        found: [u8; 2],
    },
    /// The end of the message is missing.
    Truncated {
        /// The number of bytes.
        given: usize,
        /// The number of bytes of the whole message, or of its head if that is incomplete.
        expected: usize,
    },
    /// The checksum differs, so some bytes have changed.
    Damaged {
        /// The checksum in the message.
        given: u32,
        /// The checksum of the bytes.
        computed: u32,
    },
    /// Another version of this crate wrote the message.
    UnknownVersion {
        /// The version in the message.
        given: u8,
        /// The version that this crate reads.
        known: u8,
    },
    /// The message is of another kind, such as tasks where results belong.
    WrongKind {
        /// The kind in the message.
        given: u8,
        /// The kind that was expected.
        expected: u8,
    },
    /// The checksum is right, but a field of the content is not valid.
    Malformed {
        /// The number of bytes before the field that cannot be read.
        at: usize,
    },
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            WireError::NotAMessage { found: [a, b] } => {
                write!(f, "the bytes begin with {a:02x} {b:02x}, which no message does")
            }
            WireError::Truncated { given, expected } => {
                write!(f, "the message is cut after {given} of {expected} bytes")
            }
            WireError::Damaged { given, computed } => write!(
                f,
                "the message is damaged: its checksum is {given:08x}, and its bytes give \
                 {computed:08x}"
            ),
            WireError::UnknownVersion { given, known } => {
                write!(f, "the message is of version {given}, and this program reads {known}")
            }
            WireError::WrongKind { given, expected } => {
                write!(f, "the message is of kind {given}, where kind {expected} belongs")
            }
            WireError::Malformed { at } => {
                write!(f, "the message has no valid field after {at} bytes")
            }
        }
    }
}

impl core::error::Error for WireError {}

impl WireError {
    pub(super) fn unknown_version(given: u8) -> WireError {
        WireError::UnknownVersion { given, known: VERSION }
    }
}
