//! Where threads leave tickets and handles for whoever comes by.

use std::boxed::Box;
use std::sync::Mutex;

use super::random::Random;
use super::value::{Name, Stamped};
use reorder_ring::{Canceller, Lease, Permit, Ticket};

/// A ticket, and what it is good for.
#[derive(Clone, Copy)]
pub(super) struct Letter {
    pub(super) name: Name,
    pub(super) ticket: Ticket,
    /// Which of the pools it is from.
    pub(super) pool: usize,
}

/// What keeps a ring leased for as long as it lies here.
pub(super) enum Handle {
    Permit(Name, Permit<Lease<Stamped>>),
    Canceller(u32, Canceller<Lease<Stamped>>),
}

pub(super) struct Post {
    letters: Box<[Place<Letter>]>,
    /// Few, since they keep rings.
    handles: Box<[Place<Handle>]>,
}

type Place<T> = Mutex<Option<T>>;

const LETTERS: u32 = 12;
const HANDLES: u32 = 3;
/// How many rings the handles can keep, those in passing included.
pub(super) const KEPT_RINGS: usize = (1 << HANDLES) + super::AT_ONCE;

impl Post {
    pub(super) fn new() -> Post {
        Post { letters: places(LETTERS), handles: places(HANDLES) }
    }

    /// Leaves a letter, and gets the one that lay in its place.
    pub(super) fn leave(&self, letter: Letter, random: &mut Random) -> Option<Letter> {
        exchange(&self.letters, LETTERS, letter, random)
    }

    pub(super) fn leave_handle(&self, handle: Handle, random: &mut Random) -> Option<Handle> {
        exchange(&self.handles, HANDLES, handle, random)
    }

    /// Takes everything that is left.
    pub(super) fn empty(&self) -> (impl Iterator<Item = Letter>, impl Iterator<Item = Handle>) {
        (all(&self.letters), all(&self.handles))
    }
}

fn places<T>(bits: u32) -> Box<[Place<T>]> {
    (0..1 << bits).map(|_| Mutex::new(None)).collect()
}

/// The first places are used most: some things wait for a moment, others for a hundred batches.
fn exchange<T>(places: &[Place<T>], bits: u32, item: T, random: &mut Random) -> Option<T> {
    let reach = 1 << random.below(bits as usize + 1);
    places[random.below(reach)].lock().unwrap().replace(item)
}

fn all<T>(places: &[Place<T>]) -> impl Iterator<Item = T> {
    places.iter().filter_map(|place| place.lock().unwrap().take())
}
