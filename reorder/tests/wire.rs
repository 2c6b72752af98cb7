//! Tickets that leave the process as text, JSON or CBOR, and the damaged or forged bits that may
//! come back.

use reorder_ring::{
    ParseRingIdError, ParseTicketError, Reason, Ring, RingId, RingIdError, TicketBits, TicketError,
};

const SOME: u128 = 0x0123_4567_89ab_cdef_0000_0000_0000_00ff;
const TEXT: &str = "0123456789abcdef00000000000000ff";

/// Returns texts that name no ticket, each with its error.
fn malformed() -> Vec<(String, ParseTicketError)> {
    let too_short = |length| ParseTicketError::TooShort { length };
    let too_long = |length| ParseTicketError::TooLong { length };
    let not_hex = |at, found| ParseTicketError::NotHex { at, found };
    let with = |at: usize, found: &str| format!("{}{found}{}", &TEXT[..at], &TEXT[at + 1..]);
    let mut cases = vec![
        (format!("{TEXT}0"), too_long(33)),
        (format!("{TEXT}{TEXT}"), too_long(64)),
        // A multi-byte character counts as one.
        (format!("{TEXT}é"), too_long(33)),
        (format!("{TEXT}\n"), too_long(33)),
        (format!(" {TEXT}"), not_hex(0, ' ')),
        (format!("0x{TEXT}"), not_hex(1, 'x')),
        (with(0, "+"), not_hex(0, '+')),
        (with(0, "-"), not_hex(0, '-')),
        (with(8, "_"), not_hex(8, '_')),
        (with(16, ":"), not_hex(16, ':')),
        (with(31, "g"), not_hex(31, 'g')),
        (with(5, "\0"), not_hex(5, '\0')),
        // The right number of bytes, but not of digits. Then a digit of another script.
        (with(5, "é")[..32].to_owned(), not_hex(5, 'é')),
        (with(30, "１"), not_hex(30, '１')),
        ("not a ticket".to_owned(), not_hex(0, 'n')),
    ];
    cases.extend((0..32).map(|length| (TEXT[..length].to_owned(), too_short(length))));
    cases
}

#[test]
fn text_has_32_digits_and_comes_back() {
    for (bits, text) in [
        (SOME, TEXT),
        (0, "00000000000000000000000000000000"),
        (u128::MAX, "ffffffffffffffffffffffffffffffff"),
        (1 << 64, "00000000000000010000000000000000"),
    ] {
        assert_eq!(TicketBits::from(bits).to_string(), text);
        assert_eq!(text.parse(), Ok(TicketBits::from(bits)));
        assert_eq!(text.to_uppercase().parse(), Ok(TicketBits::from(bits)));
        assert_eq!(u128::from(TicketBits::from(bits)), bits);
    }
    assert_eq!(format!("{:?}", TicketBits::from(SOME)), format!("TicketBits({TEXT})"));
}

#[test]
fn the_error_for_malformed_text_names_the_input_and_the_expected_length() {
    for (text, expected) in malformed() {
        let error = text.parse::<TicketBits>().unwrap_err();
        assert_eq!(error, expected, "{text:?}");
        let message = error.to_string();
        let given = match error {
            ParseTicketError::TooShort { length } | ParseTicketError::TooLong { length } => {
                length.to_string()
            }
            ParseTicketError::NotHex { found, .. } => format!("{found:?}"),
            error => panic!("{error:?} has no case in this test"),
        };
        assert!(message.contains(&given) && message.contains("32"), "{message}");
    }
}

/// Sends the bits of two tickets through `wire`, and completes the tickets that come back. Then
/// sends bits that no ring has issued.
fn travel(wire: impl Fn(TicketBits) -> TicketBits) {
    let ring = Ring::with_capacity(4).unwrap();
    let other = Ring::<u8>::with_capacity(4).unwrap();
    let mut batch = ring.open().unwrap();
    let tickets: Vec<_> = batch.reserve_many(2).unwrap().collect();
    let back = |bits: TicketBits| ring.ticket_from_bits(wire(bits).into());

    for (value, &ticket) in tickets.iter().enumerate().rev() {
        assert_eq!(back(ticket.into()), Ok(ticket));
        ring.complete(back(ticket.into()).unwrap(), value).unwrap();
        assert_eq!(ring.complete(ticket, value).unwrap_err().reason, Reason::Duplicate);
    }
    assert!(batch.drain_ready().map(|delivery| delivery.outcome).eq([Ok(0), Ok(1)]));

    let foreign = other.open().unwrap().reserve().unwrap();
    let own = (tickets[0].to_bits() >> 64) as u64;
    let error = |bits: u128| TicketError::Foreign { given: (bits >> 64) as u64, own };
    let found = back(foreign.into());
    assert_eq!(found, Err(error(foreign.to_bits())), "a ticket of another ring");
    // Each single bit may be damaged or forged.
    let last = tickets[1].to_bits();
    for bit in 0..128 {
        let expected = match (last ^ 1 << bit) as u64 {
            _ if bit >= 64 => Err(error(last ^ 1 << bit)),
            0 => Ok(tickets[0]),
            position => Err(TicketError::Unreserved { position, first: 0, tail: 2 }),
        };
        assert_eq!(back((last ^ 1 << bit).into()), expected, "bit {bit}");
    }
    // These bits name the next position, which is reserved later.
    let early = TicketBits::from(last + 1);
    assert!(matches!(back(early), Err(TicketError::Unreserved { position: 2, tail: 2, .. })));
    let third = batch.reserve().unwrap();
    assert_eq!(back(early), Ok(third));
}

/// Sends the bits of a ring's tickets and its identity through the wires. Then the ring is dropped,
/// and a ring of another capacity goes on at position 2.
fn restart(wire: impl Fn(TicketBits) -> TicketBits, id_wire: impl Fn(RingId) -> RingId) {
    let ring = Ring::<&str>::with_capacity(8).unwrap();
    let mut batch = ring.open().unwrap();
    let sent: Vec<_> = batch.reserve_many(6).unwrap().map(TicketBits::from).collect();
    let id = id_wire(ring.id());
    assert_eq!(id, ring.id());
    drop(batch);
    drop(ring);

    let ring = Ring::resume(id, 2, 2).unwrap();
    let mut batch = ring.open().unwrap();
    _ = batch.reserve_many(2).unwrap();
    let back = |position: usize| ring.ticket_from_bits(wire(sent[position]).into());
    let complete = |position: usize, value| {
        ring.complete(back(position).unwrap(), value).map_err(|no| (no.reason, no.value))
    };
    assert_eq!(complete(3, "d"), Ok(()));
    assert_eq!(complete(3, "d again"), Err((Reason::Duplicate, "d again")));
    assert_eq!(complete(0, "a"), Err((Reason::Stale, "a")));
    assert_eq!(complete(1, "b"), Err((Reason::Stale, "b")));
    for position in [4, 5] {
        let unreserved = TicketError::Unreserved { position: position as u64, first: 0, tail: 4 };
        assert_eq!(back(position), Err(unreserved));
    }
    assert_eq!(complete(2, "c"), Ok(()));
    assert!(batch.drain_ready().map(|next| next.outcome).eq([Ok("c"), Ok("d")]));
    assert_eq!(complete(2, "late"), Err((Reason::Settled, "late")));

    // Each single bit of the identity may be damaged or forged.
    let own = u64::from(id);
    for bit in 64..128 {
        let forged = u128::from(sent[3]) ^ 1 << bit;
        let given = (forged >> 64) as u64;
        let found = ring.ticket_from_bits(wire(forged.into()).into());
        assert_eq!(found, Err(TicketError::Foreign { given, own }), "bit {bit}");
    }
}

#[test]
fn a_ticket_travels_as_text() {
    travel(|bits| bits.to_string().parse().unwrap());
    restart(|bits| bits.to_string().parse().unwrap(), |id| id.to_string().parse().unwrap());
}

const LARGEST_ID: u64 = (1 << 63) - 1;

#[test]
fn an_identity_is_a_number_of_63_bits() {
    for number in [1, 0x0123_4567_89ab_cdef, LARGEST_ID] {
        let id = RingId::try_from(number).unwrap();
        assert_eq!(u64::from(id), number);
        let text = format!("{number:016x}");
        assert_eq!((id.to_string(), format!("{id:?}")), (text.clone(), format!("RingId({text})")));
        assert_eq!(text.parse(), Ok(id));
        assert_eq!(text.to_uppercase().parse(), Ok(id));
    }
    for given in [0, LARGEST_ID + 1, u64::MAX] {
        let Err(error) = RingId::try_from(given) else { panic!("{given} is an identity") };
        assert_eq!(error.given, given);
        let message = error.to_string();
        for part in [given, 1, LARGEST_ID].map(|number| format!("{number:016x}")) {
            assert!(message.contains(&part), "{message}");
        }
        let error = format!("{given:016x}").parse::<RingId>().unwrap_err();
        assert_eq!(error, ParseRingIdError::OutOfRange { given });
        assert_eq!(error.to_string(), message);
    }
    let _: fn(u64) -> Result<RingId, RingIdError> = RingId::try_from;
    assert_eq!(size_of::<Option<RingId>>(), 8);

    let ids: Vec<_> = (0..1000).map(|_| Ring::<u8>::with_capacity(1).unwrap().id()).collect();
    let different: std::collections::HashSet<_> = ids.iter().collect();
    assert_eq!(different.len(), ids.len());
    assert!(ids.iter().all(|&id| u64::from(id) <= LARGEST_ID));
}

/// Returns texts that are no identity, each with its error.
fn malformed_ids() -> Vec<(String, ParseRingIdError)> {
    let text = &TEXT[..16];
    let not_hex = |at, found| ParseRingIdError::NotHex { at, found };
    let mut cases: Vec<_> = (0..16)
        .map(|length| (text[..length].to_owned(), ParseRingIdError::TooShort { length }))
        .collect();
    cases.extend([
        (format!("{text}0"), ParseRingIdError::TooLong { length: 17 }),
        (TEXT.to_owned(), ParseRingIdError::TooLong { length: 32 }),
        (format!("{text}\n"), ParseRingIdError::TooLong { length: 17 }),
        (format!("{text}é"), ParseRingIdError::TooLong { length: 17 }),
        (format!("+{}", &text[1..]), not_hex(0, '+')),
        (format!("0x{text}"), not_hex(1, 'x')),
        (format!("{}é", &text[..14]), not_hex(14, 'é')),
        (format!("{} ", &text[..15]), not_hex(15, ' ')),
    ]);
    cases
}

#[test]
fn the_error_for_a_malformed_identity_names_the_input_and_the_expected_length() {
    for (text, expected) in malformed_ids() {
        let error = text.parse::<RingId>().unwrap_err();
        assert_eq!(error, expected, "{text:?}");
        let message = error.to_string();
        let given = match error {
            ParseRingIdError::TooShort { length } | ParseRingIdError::TooLong { length } => {
                length.to_string()
            }
            ParseRingIdError::NotHex { found, .. } => format!("{found:?}"),
            error => panic!("{error:?} has no case in this test"),
        };
        assert!(message.contains(&given) && message.contains("16"), "{message}");
    }
}

/// A ring that was resumed belongs to no pool, although a ring of a pool had its identity.
#[cfg(feature = "pool")]
#[test]
fn the_successor_of_a_pooled_ring_belongs_to_no_pool() {
    use reorder_ring::RingPool;

    let pool = RingPool::<u8>::with_idle_limit(0);
    let lease = pool.lease(2).unwrap();
    let old = lease.open().unwrap().reserve().unwrap();
    let ring = Ring::resume(lease.id(), 2, 0).unwrap();
    let mut batch = ring.open().unwrap();
    let own = batch.reserve_many(2).unwrap();

    // The pool has a live ring of this identity, which has reserved one position.
    for ticket in own {
        assert_eq!(pool.complete(ticket, 1).unwrap_err().reason, Reason::Foreign);
        assert_eq!(pool.evict(ticket), Err(Reason::Foreign));
        assert!(!pool.is_wanted(ticket));
    }
    ring.complete(old, 1).unwrap();
    drop(lease);

    let given = u64::from(ring.id());
    assert_eq!(pool.ticket_from_bits(old.to_bits()), Err(TicketError::NotInPool { given }));
    let bits = old.to_bits() + 1;
    ring.complete(ring.ticket_from_bits(bits).unwrap(), 2).unwrap();
    assert!(batch.drain_ready().map(|next| next.outcome).eq([Ok(1), Ok(2)]));
    // No ring has such an identity.
    for given in [0, 1 << 63, given | 1 << 63] {
        let bits = u128::from(given) << 64;
        assert_eq!(pool.ticket_from_bits(bits), Err(TicketError::NotInPool { given }));
    }
}

#[cfg(feature = "pool")]
#[test]
fn a_pool_rebuilds_its_own_tickets() {
    use reorder_ring::RingPool;

    let (pool, other) = (RingPool::new(), RingPool::<u8>::new());
    let lease = pool.lease(2).unwrap();
    let mut batch = lease.open().unwrap();
    let text = TicketBits::from(batch.reserve().unwrap()).to_string();
    let bits: u128 = text.parse::<TicketBits>().unwrap().into();
    let given = (bits >> 64) as u64;
    assert_eq!(other.ticket_from_bits(bits), Err(TicketError::NotInPool { given }));
    let next = pool.ticket_from_bits(bits + 1).unwrap_err();
    assert_eq!(next, TicketError::Unreserved { position: 1, first: 0, tail: 1 });
    pool.complete(pool.ticket_from_bits(bits).unwrap(), 7).unwrap();
    assert_eq!(batch.try_next().unwrap().outcome, Ok(7));

    drop(batch);
    drop(lease);
    let lease = pool.lease(2).unwrap();
    let mut batch = lease.open().unwrap();
    _ = batch.reserve().unwrap();
    let late = pool.ticket_from_bits(bits).unwrap();
    assert_eq!(pool.complete(late, 8).unwrap_err().reason, Reason::Stale);
}

#[cfg(feature = "serde")]
mod serde {
    use super::*;
    use ciborium::Value;
    use serde_core::de::value::{BytesDeserializer, Error, StrDeserializer};
    use serde_core::de::{Deserialize, DeserializeOwned};
    use serde_core::ser::Serialize;

    fn to_cbor(value: &impl Serialize) -> Vec<u8> {
        let mut bytes = Vec::new();
        ciborium::into_writer(value, &mut bytes).unwrap();
        bytes
    }

    fn from_cbor<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, impl std::fmt::Display> {
        ciborium::from_reader::<T, _>(bytes)
    }

    #[test]
    fn a_ticket_travels_as_json() {
        travel(|bits| serde_json::from_str(&serde_json::to_string(&bits).unwrap()).unwrap());
        travel(|bits| serde_json::from_value(serde_json::to_value(bits).unwrap()).unwrap());
        restart(
            |bits| serde_json::from_str(&serde_json::to_string(&bits).unwrap()).unwrap(),
            |id| serde_json::from_str(&serde_json::to_string(&id).unwrap()).unwrap(),
        );
    }

    #[test]
    fn a_ticket_travels_as_cbor() {
        travel(|bits| from_cbor(&to_cbor(&bits)).unwrap_or_else(|error| panic!("{error}")));
        restart(
            |bits| from_cbor(&to_cbor(&bits)).unwrap_or_else(|error| panic!("{error}")),
            |id| from_cbor(&to_cbor(&id)).unwrap_or_else(|error| panic!("{error}")),
        );
    }

    #[test]
    fn an_identity_has_16_digits_or_8_bytes() {
        let number = 0x0123_4567_89ab_cdef_u64;
        let id = RingId::try_from(number).unwrap();
        assert_eq!(serde_json::to_string(&id).unwrap(), "\"0123456789abcdef\"");
        // 0x48 is the CBOR header of 8 bytes.
        let bytes = [&[0x48][..], &number.to_be_bytes()].concat();
        assert_eq!(to_cbor(&id), bytes);
        for length in 0..bytes.len() {
            assert!(from_cbor::<RingId>(&bytes[..length]).is_err(), "truncated to {length}");
        }
        for length in (0..=20).filter(|&length| length != 8) {
            let cbor = to_cbor(&Value::Bytes(vec![b'1'; length]));
            let Err(error) = from_cbor::<RingId>(&cbor) else { panic!("{length} bytes") };
            assert!(error.to_string().contains("8 bytes"), "{length} bytes: {error}");
        }
        for given in [0, LARGEST_ID + 1, u64::MAX] {
            let expected = RingId::try_from(given).unwrap_err().to_string();
            let cbor = to_cbor(&Value::Bytes(given.to_be_bytes().to_vec()));
            let Err(error) = from_cbor::<RingId>(&cbor) else { panic!("{given}") };
            assert!(error.to_string().contains(&expected), "{error}");
        }
        let bytes = number.to_be_bytes();
        assert_eq!(RingId::deserialize(BytesDeserializer::<Error>::new(&bytes)), Ok(id));
        assert_eq!(RingId::deserialize(StrDeserializer::<Error>::new(&TEXT[..16])), Ok(id));
    }

    #[test]
    fn a_malformed_identity_is_refused_with_the_reason() {
        for (text, expected) in malformed_ids() {
            let json = serde_json::to_string(&text).unwrap();
            let error = serde_json::from_str::<RingId>(&json).unwrap_err().to_string();
            assert!(error.contains(&expected.to_string()), "{text:?}: {error}");
        }
        for json in ["null", "255", "[0,1]", "{}", "true"] {
            let error = serde_json::from_str::<RingId>(json).unwrap_err().to_string();
            assert!(error.contains("16 hexadecimal digits"), "{json}: {error}");
        }
    }

    #[test]
    fn text_formats_get_digits_and_binary_formats_get_bytes() {
        let ring = Ring::<u8>::with_capacity(2).unwrap();
        let ticket = ring.open().unwrap().reserve().unwrap();
        let bits = TicketBits::from(ticket);
        assert_eq!(serde_json::to_string(&bits).unwrap(), format!("\"{bits}\""));
        assert_eq!(serde_json::to_string(&ticket).unwrap(), format!("\"{bits}\""));
        assert_eq!(to_cbor(&ticket), to_cbor(&bits));
        // 0x50 is the CBOR header of 16 bytes.
        let bytes = [&[0x50][..], &SOME.to_be_bytes()].concat();
        assert_eq!(to_cbor(&TicketBits::from(SOME)), bytes);
    }

    #[test]
    fn malformed_json_is_refused_with_the_reason() {
        for (text, expected) in malformed() {
            let json = serde_json::to_string(&text).unwrap();
            let error = serde_json::from_str::<TicketBits>(&json).unwrap_err().to_string();
            assert!(error.contains(&expected.to_string()), "{text:?}: {error}");
        }
        for json in ["null", "255", "[0,1]", "{}", "true"] {
            let error = serde_json::from_str::<TicketBits>(json).unwrap_err().to_string();
            assert!(error.contains("32 hexadecimal digits"), "{json}: {error}");
        }
        // The text may be truncated on its way.
        let json = serde_json::to_string(&TicketBits::from(SOME)).unwrap();
        for length in 0..json.len() {
            assert!(serde_json::from_str::<TicketBits>(&json[..length]).is_err());
        }
    }

    #[test]
    fn bytes_of_any_other_length_are_refused() {
        for length in (0..=40).filter(|&length| length != 16) {
            let cbor = to_cbor(&Value::Bytes(vec![b'1'; length]));
            let Err(error) = from_cbor::<TicketBits>(&cbor) else { panic!("{length} bytes") };
            assert!(error.to_string().contains("16 bytes"), "{length} bytes: {error}");
        }
        let cbor = to_cbor(&TicketBits::from(SOME));
        for length in 0..cbor.len() {
            assert!(from_cbor::<TicketBits>(&cbor[..length]).is_err(), "truncated to {length}");
        }
    }

    /// The buffers of flattened fields offer the form that they hold, whichever form is requested.
    #[test]
    fn each_form_is_accepted_where_the_other_is_expected() {
        let some = Ok(TicketBits::from(SOME));
        let bytes = SOME.to_be_bytes();
        assert_eq!(TicketBits::deserialize(BytesDeserializer::<Error>::new(&bytes)), some);
        assert_eq!(TicketBits::deserialize(StrDeserializer::<Error>::new(TEXT)), some);
        let text = BytesDeserializer::<Error>::new(TEXT.as_bytes());
        assert!(TicketBits::deserialize(text).is_err(), "32 bytes were taken for 32 digits");
    }
}
