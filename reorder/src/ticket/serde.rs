//! Tickets in the formats of `serde`. A ticket is serialized; its bits are also deserialized.

use core::fmt;

use serde_core::de::{Deserialize, Deserializer, Error, Visitor};
use serde_core::ser::{Serialize, Serializer};

use crate::ticket::Ticket;
use crate::ticket::bits::TicketBits;

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

impl<'de> Deserialize<'de> for TicketBits {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<TicketBits, D::Error> {
        if deserializer.is_human_readable() {
            deserializer.deserialize_str(AnyForm)
        } else {
            deserializer.deserialize_bytes(AnyForm)
        }
    }
}

/// Accepts the text and the bytes. The buffer of a flattened or untagged type reports a
/// human-readable format, even if it contains bytes.
struct AnyForm;

impl Visitor<'_> for AnyForm {
    type Value = TicketBits;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the bits of a ticket: 32 hexadecimal digits, or 16 bytes")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<TicketBits, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<TicketBits, E> {
        match <[u8; 16]>::try_from(bytes) {
            Ok(bytes) => Ok(u128::from_be_bytes(bytes).into()),
            Err(_) => Err(E::invalid_length(bytes.len(), &self)),
        }
    }
}
