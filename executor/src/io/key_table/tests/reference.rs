//! A table that keeps all items, and looks at each of them.

#[derive(Clone, Copy, PartialEq, Eq)]
enum Item {
    Parked,
    /// Its window has room, and no thread has taken it.
    Opened,
    /// A thread has it.
    Taken,
    /// Its thread has completed it.
    Ended,
}

struct Entry {
    key: Option<u64>,
    item: Item,
    outcome: Option<u64>,
    is_released: bool,
    started: Option<u64>,
}

impl Entry {
    /// Returns `true` if the item takes up room in the window of its key.
    fn counts(&self) -> bool {
        let is_in_hand = matches!(self.item, Item::Taken | Item::Opened);
        self.item != Item::Parked && (is_in_hand || !self.is_released)
    }
}

/// The effects of one call.
pub(super) struct Step {
    /// The outcomes whose turn has come, with their indices, sorted by key.
    pub(super) released: Vec<(u64, u64)>,
    /// The items that may start and that no thread has taken.
    pub(super) opened: Vec<u64>,
}

pub(super) struct Reference {
    key_window: usize,
    items: Vec<Entry>,
    opened: Vec<u64>,
    is_stopped: bool,
    starts: Vec<u64>,
    most_slots: usize,
}

impl Reference {
    pub(super) fn new(key_window: usize) -> Self {
        Reference {
            key_window,
            items: Vec::new(),
            opened: Vec::new(),
            is_stopped: false,
            starts: Vec::new(),
            most_slots: 0,
        }
    }

    fn of_key(&self, key: Option<u64>) -> impl Iterator<Item = &Entry> {
        self.items.iter().filter(move |it| it.key == key)
    }

    fn has_room(&self, key: Option<u64>) -> bool {
        key.is_none() || self.of_key(key).filter(|it| it.counts()).count() < self.key_window
    }

    /// Returns `true` if the item may start.
    pub(super) fn admit(&mut self, key: Option<u64>) -> Option<bool> {
        if self.is_stopped {
            return None;
        }
        let may_start = self.has_room(key);
        let item = if may_start { Item::Taken } else { Item::Parked };
        self.items.push(Entry { key, item, outcome: None, is_released: false, started: None });
        let slots = |it: &&Entry| !it.is_released || it.item == Item::Taken;
        self.most_slots = self.most_slots.max(self.items.iter().filter(slots).count());
        Some(may_start)
    }

    pub(super) fn key(&self, index: u64) -> Option<u64> {
        self.items[index as usize].key
    }

    pub(super) fn note_start(&mut self, index: u64, now: u64) {
        self.items[index as usize].started = Some(now);
        self.starts.push(index);
    }

    pub(super) fn first_started(&self) -> Option<(u64, u64)> {
        let first = self.starts.iter().copied().find(|&index| self.is_open(index))?;
        Some((self.items[first as usize].started?, first))
    }

    /// Returns the open items that started before `at`, and `true` if another one started later.
    pub(super) fn started_before(&self, at: u64) -> (Vec<u64>, bool) {
        let open = self.starts.iter().copied().filter(|&index| self.is_open(index));
        let (before, after): (Vec<u64>, Vec<u64>) =
            open.partition(|&index| self.items[index as usize].started < Some(at));
        (before, !after.is_empty())
    }

    /// Returns the number of items that were started, or could be, and have no outcome.
    pub(super) fn running(&self) -> usize {
        let is_open = |it: &&Entry| it.item != Item::Parked && it.outcome.is_none();
        self.items.iter().filter(is_open).count()
    }

    pub(super) fn was_opened(&self, index: u64) -> bool {
        self.items[index as usize].item == Item::Opened
    }

    pub(super) fn complete(&mut self, index: u64, outcome: u64) -> bool {
        let item = &mut self.items[index as usize];
        item.item = Item::Ended;
        let is_first = item.outcome.is_none();
        item.outcome.get_or_insert(outcome);
        is_first
    }

    pub(super) fn give_up(&mut self, index: u64, outcome: u64) {
        self.items[index as usize].outcome = Some(outcome);
    }

    /// Returns the items that were parked.
    pub(super) fn stop(&mut self, also_open: bool, outcomes: [u64; 2]) -> Vec<u64> {
        self.is_stopped = true;
        self.opened.clear();
        let mut parked = Vec::new();
        for (index, entry) in self.items.iter_mut().enumerate() {
            if matches!(entry.item, Item::Parked | Item::Opened) {
                entry.item = Item::Ended;
                entry.outcome = Some(outcomes[0]);
                parked.push(index as u64);
            } else if also_open && entry.outcome.is_none() {
                entry.outcome = Some(outcomes[1]);
            }
        }
        parked
    }

    pub(super) fn take_opened(&mut self, index: u64) {
        assert_eq!(self.opened.first(), Some(&index), "in the order in which they were opened");
        self.opened.remove(0);
        self.items[index as usize].item = Item::Taken;
    }

    pub(super) fn has_opened(&self) -> bool {
        !self.opened.is_empty()
    }

    /// Releases and opens what can be.
    pub(super) fn settle(&mut self) -> Step {
        let mut released = Vec::new();
        for index in 0..self.items.len() {
            let Entry { key, outcome, is_released, .. } = self.items[index];
            let is_before = |it: &Entry| it.key == key && !it.is_released;
            let is_first = key.is_none() || !self.items[..index].iter().any(is_before);
            if let (Some(outcome), true, false) = (outcome, is_first, is_released) {
                self.items[index].is_released = true;
                released.push((index as u64, outcome));
            }
        }
        released.sort_by_key(|&(index, _)| self.key(index));
        for index in 0..self.items.len() {
            if self.items[index].item == Item::Parked && self.has_room(self.items[index].key) {
                self.items[index].item = Item::Opened;
                self.opened.push(index as u64);
            }
        }
        Step { released, opened: self.opened.clone() }
    }

    pub(super) fn outstanding(&self) -> usize {
        self.items.iter().filter(|it| !it.is_released).count()
    }

    /// Returns the number of outcomes that wait for earlier items.
    pub(super) fn held(&self) -> usize {
        self.items.iter().filter(|it| !it.is_released && it.outcome.is_some()).count()
    }

    pub(super) fn is_open(&self, index: u64) -> bool {
        self.items[index as usize].outcome.is_none()
    }

    pub(super) fn is_unused(&self, key: u64) -> bool {
        self.of_key(Some(key)).all(|it| it.is_released && it.item == Item::Ended)
    }

    /// Returns the maximum number of items that had no outcome, or were with a thread.
    pub(super) fn most_slots(&self) -> usize {
        self.most_slots
    }
}
