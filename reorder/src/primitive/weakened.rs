//! Loom's atomics, of which one access at a time can be weakened, so that `ci/orderings.sh` sees whether a
//! model notices. An access is named by its place in the source, and the labels stay in the notes.

use std::collections::HashSet;
use std::format;
use std::fs::OpenOptions;
use std::io::Write;
use std::panic::Location;
use std::string::String;
use std::sync::{Mutex, OnceLock, PoisonError};

use super::Ordering::{self, AcqRel, Acquire, Relaxed, Release, SeqCst};

/// `FILE:LINE:PART` of the access to weaken, if there is one. A part is a half of an order, a refused
/// compare-and-swap, or a fence.
fn mutant() -> Option<&'static str> {
    static MUTANT: OnceLock<Option<String>> = OnceLock::new();
    MUTANT.get_or_init(|| std::env::var("REORDER_WEAKEN").ok()).as_deref()
}

/// Whether this part of the access is to be weakened. Tells of it, if it is asked to tell of all.
fn is_weakened(place: &Location<'_>, part: &str) -> bool {
    static TOLD: Mutex<Option<HashSet<String>>> = Mutex::new(None);
    static LIST: OnceLock<Option<String>> = OnceLock::new();
    let list = LIST.get_or_init(|| std::env::var("REORDER_ORDERINGS").ok());
    if mutant().is_none() && list.is_none() {
        return false;
    }
    let name = format!("{}:{}:{part}", place.file(), place.line());
    if let Some(list) = list {
        let mut told = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
        if told.get_or_insert_default().insert(name.clone()) {
            let file = OpenOptions::new().append(true).create(true).open(list);
            writeln!(file.expect("the list can be written"), "{name}").expect("as can a line");
        }
    }
    mutant() == Some(name.as_str())
}

fn weakened(order: Ordering, place: &Location<'_>) -> Ordering {
    let acquires = matches!(order, Acquire | AcqRel | SeqCst) && !is_weakened(place, "acquire");
    let releases = matches!(order, Release | AcqRel | SeqCst) && !is_weakened(place, "release");
    match (acquires, releases) {
        (true, true) => order,
        (true, false) => Acquire,
        (false, true) => Release,
        (false, false) => Relaxed,
    }
}

pub(crate) struct AtomicU64(loom::sync::atomic::AtomicU64);

impl AtomicU64 {
    #[track_caller]
    pub(crate) fn new(value: u64) -> Self {
        AtomicU64(loom::sync::atomic::AtomicU64::new(value))
    }

    #[track_caller]
    pub(crate) fn load(&self, order: Ordering) -> u64 {
        self.0.load(weakened(order, Location::caller()))
    }

    #[track_caller]
    pub(crate) fn store(&self, value: u64, order: Ordering) {
        self.0.store(value, weakened(order, Location::caller()));
    }

    #[track_caller]
    pub(crate) fn compare_exchange(
        &self,
        old: u64,
        new: u64,
        order: Ordering,
        refused: Ordering,
    ) -> Result<u64, u64> {
        let place = Location::caller();
        let weak = refused == Acquire && is_weakened(place, "refused");
        let refused = if weak { Relaxed } else { refused };
        self.0.compare_exchange(old, new, weakened(order, place), refused)
    }

    #[track_caller]
    pub(crate) fn fetch_add(&self, value: u64, order: Ordering) -> u64 {
        self.0.fetch_add(value, weakened(order, Location::caller()))
    }

    #[track_caller]
    pub(crate) fn fetch_sub(&self, value: u64, order: Ordering) -> u64 {
        self.0.fetch_sub(value, weakened(order, Location::caller()))
    }
}

#[cfg(feature = "pool")]
pub(crate) struct AtomicPtr<T>(loom::sync::atomic::AtomicPtr<T>);

#[cfg(feature = "pool")]
impl<T> AtomicPtr<T> {
    #[track_caller]
    pub(crate) fn new(value: *mut T) -> Self {
        AtomicPtr(loom::sync::atomic::AtomicPtr::new(value))
    }

    #[track_caller]
    pub(crate) fn load(&self, order: Ordering) -> *mut T {
        self.0.load(weakened(order, Location::caller()))
    }

    #[track_caller]
    pub(crate) fn store(&self, value: *mut T, order: Ordering) {
        self.0.store(value, weakened(order, Location::caller()));
    }
}

#[track_caller]
pub(crate) fn fence(order: Ordering) {
    if !is_weakened(Location::caller(), "fence") {
        loom::sync::atomic::fence(order);
    }
}
