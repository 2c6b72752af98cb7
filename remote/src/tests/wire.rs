//! Every message comes back as it was written, and no bytes make a reader panic.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use fastrand::Rng;
use reorder_ring::RingId;

use crate::wire::{
    Outcome, Record, ResultItem, Results, ResultsWriter, TaskItem, Tasks, TasksWriter, Token,
    VERSION, WireError, largest_task, largest_value,
};

const WORKER: u64 = 1 << 40;

fn ring() -> RingId {
    RingId::try_from(0x1234_5678_9abc_def0).expect("below 2^63")
}

fn tasks() -> Bytes {
    let mut writer = TasksWriter::new(ring());
    for item in task_items() {
        writer.push(item.position, item.attempt, &item.payload);
    }
    writer.finish()
}

fn task_items() -> Vec<TaskItem> {
    vec![
        TaskItem { position: 0, attempt: 1, payload: Bytes::from_static(b"first") },
        TaskItem { position: u64::MAX, attempt: u32::MAX, payload: Bytes::new() },
        TaskItem { position: 1 << 60, attempt: 127, payload: Bytes::from(vec![7; 300]) },
    ]
}

fn results() -> Bytes {
    let mut writer = ResultsWriter::new(ring(), WORKER);
    result_items().iter().for_each(|item| writer.push(item));
    writer.finish()
}

fn result_items() -> Vec<ResultItem> {
    let outcomes = [
        Outcome::Done(Bytes::from_static(b"value")),
        Outcome::Done(Bytes::new()),
        Outcome::Retry { error: "later: é".into(), after: Duration::from_millis(1 << 40) },
        Outcome::Failed { error: String::new() },
        Outcome::TooLarge { given: u64::MAX, allowed: 0 },
    ];
    let item =
        |(n, outcome): (u64, _)| ResultItem { position: n * 1000, attempt: n as u32 + 1, outcome };
    (0..).zip(outcomes).map(item).collect()
}

fn record() -> Record {
    let owner = Token { epoch: u64::MAX, instance: 1 };
    Record { ring: ring(), owner, committed: 1 << 50, released: true }
}

fn read_all(message: &Bytes) -> [Option<WireError>; 3] {
    [Tasks::decode(message).err(), Results::decode(message).err(), Record::decode(message).err()]
}

#[test]
fn messages_come_back_as_they_were() {
    let read = Tasks::decode(&tasks()).unwrap();
    assert_eq!((read.ring, read.items), (ring(), task_items()));
    let read = Results::decode(&results()).unwrap();
    assert_eq!((read.ring, read.worker, read.items), (ring(), WORKER, result_items()));
    assert_eq!(Record::decode(&record().encode()), Ok(record()));
}

#[test]
fn layout_is_as_documented() {
    let mut writer = TasksWriter::new(ring());
    writer.push(300, 2, b"ab");
    let message = writer.finish();
    assert_eq!(message[..4], [b'r', b'R', 1, 1]);
    assert_eq!(message[4..8], (message.len() as u32).to_le_bytes());
    assert_eq!(message[12..20], 0x1234_5678_9abc_def0_u64.to_le_bytes());
    assert_eq!(message[20..], [0xac, 0x02, 2, 2, b'a', b'b']);
}

#[test]
fn payloads_share_the_memory_of_their_message() {
    let message = tasks();
    let read = Tasks::decode(&message).unwrap();
    let inside = message.as_ptr_range();
    assert!(inside.contains(&read.items[0].payload.as_ptr()));
}

#[test]
fn every_truncation_is_an_error() {
    for message in [tasks(), results(), record().encode()] {
        for length in 0..message.len() {
            let cut = message.slice(..length);
            for error in read_all(&cut) {
                let expected = if length < 12 { 12 } else { message.len() };
                assert_eq!(error, Some(WireError::Truncated { given: length, expected }));
            }
        }
    }
}

#[test]
fn every_changed_bit_is_an_error() {
    for message in [tasks(), results(), record().encode()] {
        for bit in 0..message.len() * 8 {
            let mut changed = BytesMut::from(&message[..]);
            changed[bit / 8] ^= 1 << (bit % 8);
            let changed = changed.freeze();
            let errors = read_all(&changed);
            assert!(errors.iter().all(Option::is_some), "bit {bit}: {errors:?}");
        }
    }
}

#[test]
fn additional_bytes_are_an_error() {
    for message in [tasks(), results(), record().encode()] {
        let longer = Bytes::from([&message[..], b"x"].concat());
        assert!(read_all(&longer).iter().all(Option::is_some));
    }
}

#[test]
fn random_bytes_are_an_error() {
    let mut rng = Rng::with_seed(17);
    for _ in 0..20_000 {
        let length = rng.usize(..200);
        let mut bytes: Vec<u8> = (0..length).map(|_| rng.u8(..)).collect();
        if rng.bool() && length > 4 {
            bytes[..4].copy_from_slice(&[b'r', b'R', VERSION, rng.u8(1..4)]);
        }
        assert!(read_all(&bytes.into()).iter().all(Option::is_some));
    }
}

/// Puts random content behind a right head, so that the checksum does not stop the reader.
#[test]
fn random_content_with_the_right_checksum_never_panics() {
    let mut rng = Rng::with_seed(18);
    let mut valid = 0;
    for _ in 0..50_000 {
        let kind = rng.u8(1..4);
        let content: Vec<u8> = (0..rng.usize(..40)).map(|_| rng.u8(..) >> rng.u8(..8)).collect();
        let message = sealed(VERSION, kind, &content);
        let errors = read_all(&message);
        valid += errors.iter().filter(|error| error.is_none()).count();
        for error in errors.into_iter().flatten() {
            let expected =
                matches!(error, WireError::WrongKind { .. } | WireError::Malformed { .. });
            assert!(expected, "{error:?}");
        }
    }
    assert!(valid > 0, "some random content must be valid, or the test reaches nothing");
}

/// Returns a message with a right length and checksum.
fn sealed(version: u8, kind: u8, content: &[u8]) -> Bytes {
    let length = (12 + content.len() as u32).to_le_bytes();
    let head = [&[b'r', b'R', version, kind][..], &length].concat();
    let checksum = crc32fast::hash(&[&head, content].concat()).to_le_bytes();
    [&head, &checksum[..], content].concat().into()
}

#[test]
fn errors_tell_the_kind_and_the_version() {
    let content = [&u64::from(ring()).to_le_bytes()[..], &[0, 1, 0]].concat();
    assert!(Tasks::decode(&sealed(VERSION, 1, &content)).is_ok());
    assert_eq!(
        Tasks::decode(&sealed(VERSION, 2, &content)),
        Err(WireError::WrongKind { given: 2, expected: 1 })
    );
    assert_eq!(
        Tasks::decode(&sealed(9, 1, &content)),
        Err(WireError::UnknownVersion { given: 9, known: VERSION })
    );
    let found = *b"GE";
    assert_eq!(Tasks::decode(&b"GET /"[..].into()), Err(WireError::NotAMessage { found }));
    let no_ring = [0; 8];
    let malformed = Err(WireError::Malformed { at: 20 });
    assert_eq!(Tasks::decode(&sealed(VERSION, 1, &no_ring)), malformed);
}

#[test]
fn largest_payloads_fit_exactly() {
    for max_message in [100, 1000, 100_000] {
        let payload = vec![1; largest_task(max_message)];
        let mut writer = TasksWriter::new(ring());
        assert!(writer.has_room(&payload, max_message));
        assert!(!writer.has_room(&[&payload[..], b"1"].concat(), max_message));
        writer.push(u64::MAX, u32::MAX, &payload);
        assert!(writer.finish().len() <= max_message);

        let outcome = Outcome::Done(vec![1; largest_value(max_message)].into());
        let mut writer = ResultsWriter::new(ring(), u64::MAX);
        assert!(writer.has_room(&outcome, max_message));
        writer.push(&ResultItem { position: u64::MAX, attempt: u32::MAX, outcome });
        assert!(writer.finish().len() <= max_message);
    }
    assert_eq!((largest_task(0), largest_value(0)), (0, 0));
}
