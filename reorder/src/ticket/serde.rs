//! Tickets and identities in the formats of `serde`. A ticket is serialized; its bits are also
//! deserialized.

use core::fmt;
use core::marker::PhantomData;

use serde_core::de::{Deserialize, Deserializer, Error, Visitor};
use serde_core::ser::{Serialize, Serializer};

use crate::ticket::Ticket;
use crate::ticket::bits::TicketBits;
use crate::ticket::ring_id::RingId;

/// A number with a text and bytes.
trait Number: Sized {
    const EXPECTED: &str;

    fn from_text(text: &str) -> Result<Self, impl fmt::Display>;

    /// Returns the number of these bytes, or `None` if their length is wrong.
    fn from_bytes(bytes: &[u8]) -> Option<Result<Self, impl fmt::Display>>;
}

impl Number for TicketBits {
    const EXPECTED: &str = "the bits of a ticket: 32 hexadecimal digits, or 16 bytes";

    fn from_text(text: &str) -> Result<Self, impl fmt::Display> {
        text.parse::<TicketBits>()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Result<Self, impl fmt::Display>> {
        let bytes = bytes.try_into().ok()?;
        Some(Ok::<_, &str>(u128::from_be_bytes(bytes).into()))
    }
}

impl Number for RingId {
    const EXPECTED: &str = "the identity of a ring: 16 hexadecimal digits, or 8 bytes";

    fn from_text(text: &str) -> Result<Self, impl fmt::Display> {
        text.parse::<RingId>()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Result<Self, impl fmt::Display>> {
        let bytes = bytes.try_into().ok()?;
        Some(RingId::try_from(u64::from_be_bytes(bytes)))
    }
}

impl Serialize for TicketBits {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            // Many formats have no `u128`.
            serializer.serialize_bytes(&u128::from(*self).to_be_bytes())
        }
    }
}

/// Serialises the ticket in the form of its [`TicketBits`]. A ring makes a ticket from them again.
impl Serialize for Ticket {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        TicketBits::from(*self).serialize(serializer)
    }
}

impl Serialize for RingId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            serializer.serialize_bytes(&u64::from(*self).to_be_bytes())
        }
    }
}

impl<'de> Deserialize<'de> for TicketBits {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<TicketBits, D::Error> {
        deserialize(deserializer)
    }
}

impl<'de> Deserialize<'de> for RingId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<RingId, D::Error> {
        deserialize(deserializer)
    }
}

fn deserialize<'de, N: Number, D: Deserializer<'de>>(deserializer: D) -> Result<N, D::Error> {
    let any_form = AnyForm(PhantomData);
    if deserializer.is_human_readable() {
        deserializer.deserialize_str(any_form)
    } else {
        deserializer.deserialize_bytes(any_form)
    }
}

/// Accepts the text and the bytes. The buffer of a flattened or untagged type reports a
/// human-readable format, even if it contains bytes.
struct AnyForm<N>(PhantomData<N>);

impl<N: Number> Visitor<'_> for AnyForm<N> {
    type Value = N;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(N::EXPECTED)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<N, E> {
        N::from_text(text).map_err(E::custom)
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<N, E> {
        match N::from_bytes(bytes) {
            Some(number) => number.map_err(E::custom),
            None => Err(E::invalid_length(bytes.len(), &self)),
        }
    }
}
