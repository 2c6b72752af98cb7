//! A machine with a core for each thread. Each core has a clock, and a thread runs while its clock
//! is behind the others. So a run is the same each time, and threads run at the same time as on
//! real cores.
//!
//! Shuttle switches the threads, and one thread of the system runs all of them.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::panic::Location;
use std::time::Duration;

use reorder_ring::hook::{self, Access};
use shuttle::scheduler::{Schedule, Scheduler, Task, TaskId};
use shuttle::{Config, FailurePersistence, MaxSteps, Runner, thread};

use crate::directory::{Directory, LINE, Numbers, Served};

/// The time of an access to a line that the core has, with the instructions around it.
const HIT: u64 = 3;
/// The time in which a line comes from another cache, or from memory. Others wait meanwhile.
const TRANSFER: u64 = 60;
/// The time from a wake-up until the thread runs.
const WAKE_UP: u64 = 5_000;
/// The longest time that a thread runs before the others are looked at.
const SLICE: u64 = 1_000;

/// The transfers of one line, by the places of the accesses.
pub(crate) type Places = BTreeMap<&'static Location<'static>, u64>;

/// The transfers in the measured part of a run.
#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) operations: u64,
    pub(crate) transfers: u64,
    lines: BTreeMap<usize, Places>,
}

impl Counts {
    /// Returns the line with the most transfers, and their number.
    pub(crate) fn hottest(&self) -> Option<(u64, &Places)> {
        let lines = self.lines.values().map(|places| (places.values().sum(), places));
        lines.max_by_key(|(transfers, _)| *transfers)
    }
}

#[derive(Default)]
struct Machine {
    /// The clocks of the cores, in nanoseconds.
    clocks: Vec<u64>,
    /// The thread that runs.
    current: usize,
    /// The threads that could run at the last switch, as bits.
    runnable: u128,
    /// The time at which the current thread lets others run.
    horizon: u64,
    directory: Directory,
    /// The instants at which lines have arrived.
    arrivals: HashMap<usize, u64, Numbers>,
    is_measuring: bool,
    counts: Counts,
    random: u64,
}

thread_local! {
    static MACHINE: RefCell<Option<Machine>> = const { RefCell::new(None) };
}

/// Runs `f` with the machine of this thread, if there is one.
fn with<R: Default>(f: impl FnOnce(&mut Machine) -> R) -> R {
    MACHINE.with_borrow_mut(|machine| machine.as_mut().map(f).unwrap_or_default())
}

/// Runs `f` on a new machine, and returns the counts of its measured part.
pub(crate) fn run(seed: u64, f: impl Fn() + Send + Sync + 'static) -> Counts {
    hook::simulate(hook::Machine { access, time, pause });
    MACHINE.set(Some(Machine { random: 0x9E37_79B9_7F4A_7C15 ^ seed, ..Machine::default() }));
    let mut config = Config::new();
    config.stack_size = 1 << 18;
    config.max_steps = MaxSteps::None;
    config.silence_warnings = true;
    config.failure_persistence = FailurePersistence::None;
    Runner::new(ByClock { is_done: false }, config).run(f);
    MACHINE.take().expect("it was set above").counts
}

/// Begins to count.
pub(crate) fn start() {
    with(|machine| machine.is_measuring = true);
}

/// Stops counting.
pub(crate) fn stop() {
    with(|machine| machine.is_measuring = false);
}

/// Counts the end of one operation.
pub(crate) fn count() {
    with(|machine| machine.counts.operations += u64::from(machine.is_measuring));
}

/// Computes for about this time.
pub(crate) fn work(nanos: u64) {
    let nanos = with(|machine| {
        // Xorshift. Between three quarters and five quarters of the time.
        machine.random ^= machine.random << 13;
        machine.random ^= machine.random >> 7;
        machine.random ^= machine.random << 17;
        nanos * 3 / 4 + machine.random % (nanos / 2).max(1)
    });
    pause(Duration::from_nanos(nanos));
}

fn access(access: Access) {
    give_way();
    with(|machine| {
        let last = access.address + access.size.max(1) - 1;
        (access.address / LINE..=last / LINE).for_each(|line| machine.access(line, access));
    });
}

fn time() -> Duration {
    Duration::from_nanos(with(|machine| machine.clocks[machine.current]))
}

pub(crate) fn pause(time: Duration) {
    with(|machine| machine.clocks[machine.current] += time.as_nanos() as u64);
    give_way();
}

/// Lets threads run whose clocks are behind.
fn give_way() {
    if with(|machine| machine.clocks[machine.current] > machine.horizon) {
        thread::yield_now();
    }
}

impl Machine {
    fn access(&mut self, line: usize, access: Access) {
        let clock = &mut self.clocks[self.current];
        *clock += HIT;
        let served = self.directory.access(self.current, line, access.writes);
        if served == Served::Hit {
            return;
        }
        let arrival = self.arrivals.entry(line).or_default();
        *clock = TRANSFER + (*clock).max(*arrival);
        *arrival = *clock;
        if served == Served::Transfer && self.is_measuring {
            self.counts.transfers += 1;
            *self.counts.lines.entry(line).or_default().entry(access.place).or_default() += 1;
        }
    }

    /// Switches to the thread whose clock is behind all others.
    fn next(&mut self, runnable: impl Iterator<Item = usize>) -> usize {
        let now = self.clocks.get(self.current).copied().unwrap_or_default();
        let before = std::mem::take(&mut self.runnable);
        let (mut first, mut second) = ((u64::MAX, 0), u64::MAX);
        for thread in runnable {
            assert!(thread < 128, "the directory has 128 cores");
            if self.clocks.len() <= thread {
                self.clocks.resize(thread + 1, 0);
            }
            let clock = &mut self.clocks[thread];
            if before & 1 << thread == 0 && thread != self.current {
                // The current thread has just woken or started it.
                *clock = (*clock).max(now + WAKE_UP);
            }
            self.runnable |= 1 << thread;
            if (*clock, thread) < first {
                second = first.0;
                first = (*clock, thread);
            } else {
                second = second.min(*clock);
            }
        }
        self.current = first.1;
        self.horizon = second.min(first.0 + SLICE);
        self.current
    }
}

/// Shuttle's scheduler, for one run.
struct ByClock {
    is_done: bool,
}

impl Scheduler for ByClock {
    fn new_execution(&mut self) -> Option<Schedule> {
        (!std::mem::replace(&mut self.is_done, true)).then(|| Schedule::new(0))
    }

    fn next_task(
        &mut self,
        runnable: &[&Task],
        _current: Option<TaskId>,
        _is_yielding: bool,
    ) -> Option<TaskId> {
        // The others are parked. Shuttle would wake some of them for no reason.
        let runnable = runnable.iter().filter(|task| task.runnable());
        let runnable = runnable.map(|task| usize::from(task.id()));
        Some(with(|machine| machine.next(runnable)).into())
    }

    fn next_u64(&mut self) -> u64 {
        0
    }
}
