//! Bits and texts that are tickets, are similar to tickets, or are unrelated to tickets.

use std::collections::HashSet;

use crate::bytes::Bytes;
use reorder_ring::{Lease, Ring, RingPool, Ticket, TicketBits};

/// Checks which bits and texts the rings and the pool accept as tickets.
///
/// # Panics
///
/// Panics if bits are accepted that were not issued, or if issued bits are refused.
pub fn ticket_bits(bytes: &[u8]) {
    let mut bytes = Bytes::new(bytes);
    let pool = RingPool::with_idle_limit(usize::from(bytes.byte()) % 8 * 1000);
    let leases: Vec<_> = (0..1 + bytes.byte() % 4)
        .map(|_| pool.lease(1 + usize::from(bytes.byte()) % 9).expect("allocate a ring"))
        .collect();
    let first = u64::from(bytes.byte());
    let separate = Ring::<()>::starting_at(8, first).expect("allocate a ring");
    let mut issued = issue(&separate, bytes.byte());
    let in_pool: HashSet<_> = leases.iter().flat_map(|lease| issue(lease, bytes.byte())).collect();
    issued.extend(&in_pool);

    while let Some(kind) = bytes.next() {
        let near = issued.iter().copied().max().unwrap_or_default();
        let bits = match kind % 5 {
            0 => bytes.word(),
            1 => near ^ bytes.word(),
            2 => near ^ 1 << (bytes.byte() % 128),
            3 => near.wrapping_add(u128::from(bytes.byte())),
            _ => near.wrapping_sub(u128::from(bytes.byte())),
        };
        check(&separate, &leases, &pool, bits, &issued, &in_pool);
        check_text(bits, &mut bytes);
    }
}

/// Reserves positions in two batches, and returns the bits of their tickets.
fn issue(ring: &Ring<()>, count: u8) -> HashSet<u128> {
    let mut issued = HashSet::new();
    for part in [count % 16, count / 16] {
        let mut batch = ring.open().expect("the ring is free");
        let tickets = batch.reserve_many(usize::from(part) % (ring.capacity() + 1));
        issued.extend(tickets.expect("a new batch has free slots").map(Ticket::to_bits));
    }
    issued
}

fn check(
    separate: &Ring<()>,
    leases: &[Lease<()>],
    pool: &RingPool<()>,
    bits: u128,
    issued: &HashSet<u128>,
    in_pool: &HashSet<u128>,
) {
    let mut accepted = 0;
    for ring in leases.iter().map(|lease| &**lease).chain([separate]) {
        if let Ok(ticket) = ring.ticket_from_bits(bits) {
            assert_eq!(ticket.to_bits(), bits);
            accepted += 1;
        }
    }
    assert_eq!(accepted, usize::from(issued.contains(&bits)), "{bits:032x}");
    let found = pool.ticket_from_bits(bits);
    assert_eq!(found.is_ok(), in_pool.contains(&bits), "{bits:032x}");
    assert!(found.is_err() || found.map(Ticket::to_bits) == Ok(bits));
}

/// Checks the text of the bits, and the text with up to three random changes.
fn check_text(bits: u128, bytes: &mut Bytes<'_>) {
    let text = TicketBits::from(bits).to_string();
    assert_eq!(text.parse(), Ok(TicketBits::from(bits)));
    let mut letters: Vec<char> = text.chars().collect();
    for _ in 0..bytes.byte() % 4 {
        let (at, letter) = (usize::from(bytes.byte()) % (letters.len() + 1), bytes.byte() as char);
        match bytes.byte() % 3 {
            0 => letters.insert(at, letter),
            1 if at < letters.len() => letters[at] = letter,
            _ => letters.truncate(at),
        }
    }
    let text: String = letters.into_iter().collect();
    let is_good = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let expected = is_good.then(|| u128::from_str_radix(&text, 16).expect("32 digits"));
    assert_eq!(text.parse::<TicketBits>().ok().map(u128::from), expected, "{text:?}");
}
