//! The head of a message: what all kinds and all versions share.

use bytes::Bytes;
use crc32fast::Hasher;

use crate::wire::error::WireError;
use crate::wire::fields::{Reader, Writer};

/// The version that this crate writes and reads.
pub(crate) const VERSION: u8 = 1;

const MAGIC: [u8; 2] = *b"rR";
const LENGTH: usize = 4;
const CHECKSUM: usize = 8;
/// The number of bytes before the content.
pub(super) const HEAD: usize = 12;

/// The kind of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    Tasks = 1,
    Results = 2,
    Record = 3,
}

/// Returns a writer for the content of a message. [`finish`] fills in the head.
pub(super) fn start(kind: Kind) -> Writer {
    let mut writer = Writer::default();
    writer.raw(&MAGIC);
    writer.raw(&[VERSION, kind as u8]);
    writer.raw(&[0; HEAD - LENGTH]);
    writer
}

/// Returns the message.
pub(super) fn finish(writer: Writer) -> Bytes {
    let mut message = writer.into_bytes();
    // A link limits its messages to far less than 4 GiB.
    let length = message.len() as u32;
    message[LENGTH..CHECKSUM].copy_from_slice(&length.to_le_bytes());
    let checksum = checksum(&message);
    message[CHECKSUM..HEAD].copy_from_slice(&checksum.to_le_bytes());
    message.freeze()
}

/// Checks the head of a message. Returns its checksum, and a reader for its content.
pub(super) fn open(message: &Bytes, expected: Kind) -> Result<(u32, Reader), WireError> {
    let given = message.len();
    match message.first_chunk() {
        None => return Err(WireError::Truncated { given, expected: HEAD }),
        Some(&MAGIC) => {}
        Some(&found) => return Err(WireError::NotAMessage { found }),
    }
    let Some(head) = message.first_chunk::<HEAD>() else {
        return Err(WireError::Truncated { given, expected: HEAD });
    };
    let [_, _, version, kind, l0, l1, l2, l3, c0, c1, c2, c3] = *head;
    let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
    if given < length {
        return Err(WireError::Truncated { given, expected: length });
    }
    let (stated, computed) = (u32::from_le_bytes([c0, c1, c2, c3]), checksum(message));
    if stated != computed {
        return Err(WireError::Damaged { given: stated, computed });
    }
    if version != VERSION {
        return Err(WireError::unknown_version(version));
    }
    if kind != expected as u8 {
        return Err(WireError::WrongKind { given: kind, expected: expected as u8 });
    }
    if length != given {
        return Err(WireError::Malformed { at: length });
    }
    Ok((stated, Reader::new(message.slice(HEAD..), HEAD)))
}

/// Returns the checksum of all bytes but its own. The message has a whole head.
fn checksum(message: &[u8]) -> u32 {
    let mut hasher = Hasher::new();
    hasher.update(&message[..CHECKSUM]);
    hasher.update(&message[HEAD..]);
    hasher.finalize()
}
