//! The table in a time of its own, against a reference that looks at all items at each step.

use std::time::Duration;

use super::*;

mod reference;

use reference::{Reference, Step};

/// Returns a number of the sequence of xorshift.
fn random(state: &mut u64, bound: u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    (*state >> 32) % bound
}

fn ring(number: u64) -> RingId {
    RingId::try_from(number).unwrap()
}

/// One run: the table and the reference get the same calls.
struct Run {
    state: u64,
    table: KeyTable<u64>,
    reference: Reference,
    /// The ticket of each item.
    tickets: Vec<KeyTicket>,
    epoch: Instant,
    now: u64,
    timeout: u64,
    keys: u64,
}

impl Run {
    fn new(seed: u64) -> Run {
        let mut state = seed * 2 + 1;
        (0..4).for_each(|_| _ = random(&mut state, 2));
        let key_window = [1, 1, 2, 3, usize::MAX][random(&mut state, 5) as usize];
        Run {
            keys: 1 + random(&mut state, 5),
            timeout: 1 + random(&mut state, 60),
            table: KeyTable::new(ring(1), key_window),
            reference: Reference::new(key_window),
            tickets: Vec::new(),
            epoch: Instant::now(),
            now: 0,
            state,
        }
    }

    fn random(&mut self, bound: u64) -> u64 {
        random(&mut self.state, bound)
    }

    /// Returns the index of a random item, more likely of a late one.
    fn any(&mut self) -> Option<u64> {
        let count = self.tickets.len() as u64;
        let back = self.random(12).min(count.checked_sub(1)?);
        Some(count - 1 - back)
    }

    fn admit(&mut self) {
        let key = self.random(self.keys + 1).checked_sub(1);
        let index = self.tickets.len() as u64;
        let admitted = self.table.admit(index, key.map(|key| key as KeyId));
        let expected = self.reference.admit(key);
        let ticket = match admitted {
            Some(Admitted::Open(ticket)) => {
                assert_eq!(expected, Some(true));
                ticket
            }
            Some(Admitted::Parked(ticket)) => {
                assert_eq!(expected, Some(false));
                ticket
            }
            None => return assert_eq!(expected, None),
        };
        assert_eq!(ticket.index, index);
        self.tickets.push(ticket);
        if admitted == Some(Admitted::Open(ticket)) {
            self.start(ticket);
        }
    }

    fn start(&mut self, ticket: KeyTicket) {
        if self.random(4) > 0 {
            self.table.note_start(ticket, self.epoch + Duration::from_millis(self.now));
            self.reference.note_start(ticket.index, self.now);
        }
    }

    /// A thread that has the item completes it, sometimes twice.
    fn complete(&mut self) {
        let Some(index) = self.any() else { return };
        for outcome in 0..1 + self.random(2) {
            // A thread may complete a parked item without a start.
            if self.reference.was_opened(index) {
                return;
            }
            let answer = self.table.complete(self.tickets[index as usize], outcome);
            let accepted = self.reference.complete(index, outcome);
            assert_eq!(answer, if accepted { Ok(()) } else { Err(outcome) }, "item {index}");
        }
    }

    /// The consumer gives up the items whose time is up.
    fn give_up_overdue(&mut self) {
        let epoch = self.epoch;
        let at = |millis| epoch + Duration::from_millis(millis);
        let (overdue, next) = self.table.started_before(at(self.now.saturating_sub(self.timeout)));
        let (expected, after) =
            self.reference.started_before(self.now.saturating_sub(self.timeout));
        assert_eq!(overdue.iter().map(|it| it.index).collect::<Vec<_>>(), expected);
        assert_eq!(next.is_some(), after);
        assert_eq!(self.table.open_tickets().len(), self.reference.running());
        while let Some((started, ticket)) = self.table.first_started() {
            let first = self.reference.first_started();
            assert_eq!(Some((started, ticket.index)), first.map(|(when, it)| (at(when), it)));
            if started + Duration::from_millis(self.timeout) > at(self.now) {
                return;
            }
            assert_eq!(self.table.give_up(ticket, 77), Ok(()));
            assert_eq!(self.table.give_up(ticket, 78), Err(78), "a second time");
            self.reference.give_up(ticket.index, 77);
            self.compare();
        }
        assert_eq!(self.reference.first_started(), None);
    }

    fn stop(&mut self) {
        let also_open = self.random(2) == 0;
        let mut unparked = Vec::new();
        self.table.stop(also_open, |has| 90 + u64::from(has), |slot| unparked.push(slot));
        let parked = self.reference.stop(also_open, [90, 91]);
        let mut parked: Vec<u32> =
            parked.iter().map(|&index| self.tickets[index as usize].slot).collect();
        parked.sort_unstable();
        unparked.sort_unstable();
        assert_eq!(unparked, parked);
    }

    /// Compares what the last call did.
    fn compare(&mut self) {
        let Step { released, opened } = self.reference.settle();
        let mut delivered: Vec<_> = std::iter::from_fn(|| self.table.take_released()).collect();
        // After a stop, the keys are released in any order, and so are items without a key.
        let key = |index: u64| self.reference.key(index);
        delivered.sort_by_key(|&(index, _)| key(index).map_or((0, index), |key| (1 + key, 0)));
        assert_eq!(delivered, released);
        assert_eq!(opened, self.table.opened.iter().map(|it| it.index).collect::<Vec<_>>());
        while self.random(3) > 0 {
            let Some(ticket) = self.table.take_opened() else { break };
            self.reference.take_opened(ticket.index);
            assert_eq!(ticket, self.tickets[ticket.index as usize]);
            self.start(ticket);
        }
        assert_eq!(self.table.has_opened(), self.reference.has_opened());
        assert_eq!(self.table.outstanding(), self.reference.outstanding());
        for (index, &ticket) in self.tickets.iter().enumerate() {
            let is_open = self.reference.is_open(index as u64);
            assert_eq!(self.table.is_open(ticket), is_open, "item {index}");
        }
        for (key, is_unused) in self.table.unused_keys().into_iter().enumerate() {
            assert_eq!(is_unused, self.reference.is_unused(key as u64));
        }
        assert!(self.table.slots.len() <= self.reference.most_slots());
        assert!(self.table.started.len() <= 2 * self.table.slots.len() + 17);
    }

    fn play(mut self) {
        for _ in 0..8 + self.random(60) {
            self.now += self.random(8);
            match self.random(24) {
                0..10 => self.admit(),
                10..20 => self.complete(),
                20..23 => self.give_up_overdue(),
                _ if self.random(4) == 0 => self.stop(),
                _ => {}
            }
            self.compare();
        }
        let left = self.table.close().len();
        assert_eq!(left, self.reference.held());
        assert!(self.tickets.iter().all(|&ticket| self.table.complete(ticket, 0) == Err(0)));
    }
}

#[test]
fn random_runs_are_as_in_the_reference() {
    let runs = std::env::var("REORDER_RANDOM_RUNS").ok();
    let runs = runs.map_or(2000, |runs| runs.parse().expect("a number of runs"));
    for seed in 0..runs {
        let run = std::panic::catch_unwind(|| Run::new(seed).play());
        assert!(run.is_ok(), "seed {seed}");
    }
}

#[test]
fn a_stuck_key_holds_back_no_other_and_needs_slots_for_its_own_items() {
    let mut table = KeyTable::new(ring(1), usize::MAX);
    let Some(Admitted::Open(stuck)) = table.admit(0, Some(0)) else { panic!("it is the first") };
    for index in 1..10_000 {
        let key = if index % 1000 == 0 { 0 } else { 1 + index as u32 % 7 };
        let Some(Admitted::Open(ticket)) = table.admit(index, Some(key)) else { panic!("room") };
        assert_eq!(table.complete(ticket, index), Ok(()));
        let released = table.take_released();
        assert_eq!(released, (key != 0).then_some((index, index)));
    }
    assert_eq!((table.slots.len(), table.outstanding()), (11, 10));
    assert_eq!(table.complete(stuck, 0), Ok(()));
    let released: Vec<_> = std::iter::from_fn(|| table.take_released().map(|it| it.0)).collect();
    assert_eq!(released, (0..10).map(|it| it * 1000).collect::<Vec<_>>());
}

#[test]
fn a_ticket_of_another_call_is_refused_with_its_outcome() {
    let mut tables = [1, 2].map(|number| KeyTable::new(ring(number), usize::MAX));
    let [Some(own), Some(foreign)] = tables.each_mut().map(|it| it.admit(0, Some(0))) else {
        panic!("there is room")
    };
    let (Admitted::Open(own), Admitted::Open(foreign)) = (own, foreign) else { panic!("room") };
    assert_eq!((own.slot, own.index), (foreign.slot, foreign.index));
    let [table, _] = &mut tables;
    // A slot that does not exist.
    for ticket in [foreign, KeyTicket { slot: 9, ..foreign }, KeyTicket { slot: 9, ..own }] {
        assert!(!table.is_open(ticket));
        assert_eq!(table.complete(ticket, 5), Err(5));
        assert_eq!(table.give_up(ticket, 6), Err(6));
    }
    assert!(table.is_open(own));
    assert_eq!(table.complete(own, 7), Ok(()));
    assert_eq!(table.take_released(), Some((0, 7)));
}
