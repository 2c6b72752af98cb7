//! Counts how often cache lines move between cores, on a simulated machine with up to 64 threads.
//!
//! | file | contents |
//! |---|---|
//! | `directory` | the cores that have a copy of each line |
//! | `machine` | the clocks of the cores, and the counts |
//! | `workloads` | the operations that run on the machine |
//! | `table` | the counts, and their limits in `loom-tests/lines.txt` |
//!
//! `ci/lines.sh` runs this. `docs/verification.md` names the accesses that it counts.
#![cfg(all(reorder_shuttle, reorder_hooks))]

mod directory;
mod machine;
mod table;
mod workloads;

use std::alloc::{GlobalAlloc, Layout, System};
use std::fs;

use directory::LINE;
use table::{Row, THREADS};

/// Gives each allocation lines of its own. So a count does not depend on what the allocator puts
/// beside an object.
struct Apart;

#[global_allocator]
static APART: Apart = Apart;

fn apart(layout: Layout) -> Layout {
    layout.align_to(LINE).expect("no object is that large").pad_to_align()
}

// SAFETY: the system's allocator, with a layout that is larger, and the same each time.
unsafe impl GlobalAlloc for Apart {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller's.
        unsafe { System.alloc(apart(layout)) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: it was allocated with this layout.
        unsafe { System.dealloc(memory, apart(layout)) }
    }
}

/// The orders of the threads that a count is the mean of.
const SEEDS: u64 = 2;

const LIMITS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/lines.txt");

/// Runs a workload, and prints its hottest line.
fn count(name: &str, threads: usize, workload: fn(usize)) -> f64 {
    let (mut transfers, mut operations) = (0, 0);
    for seed in 0..SEEDS {
        let counts = machine::run(seed, move || workload(threads));
        transfers += counts.transfers;
        operations += counts.operations;
        let hottest = counts.hottest().filter(|_| seed == 0);
        let share = |transfers: u64| transfers as f64 / counts.operations as f64;
        if let Some((line, places)) = hottest {
            let mut places: Vec<_> = places.iter().collect();
            places.sort_by_key(|(_, transfers)| std::cmp::Reverse(**transfers));
            let places = places.iter().take(3).map(|(place, transfers)| {
                format!(" {}:{} {:.2}", place.file(), place.line(), share(**transfers))
            });
            let places: String = places.collect();
            println!("lines: {name}, {threads} threads: hottest line {:.2}:{places}", share(line));
        }
    }
    assert_ne!(operations, 0, "{name}: nothing was counted");
    transfers as f64 / operations as f64
}

#[test]
fn no_count_grows() {
    if !cfg!(all(target_arch = "x86_64", target_os = "linux")) {
        println!("skipped: lines: the limits are for x86-64 and the locks of Linux");
        return;
    }
    let rows = workloads::ALL.iter().map(|(name, workload)| Row {
        name: (*name).to_owned(),
        counts: THREADS.map(|threads| count(name, threads, *workload)),
    });
    let rows: Vec<Row> = rows.collect();
    let table = table::write(&rows);
    println!("{table}");
    if std::env::var_os("REORDER_RENEW_LINES").is_some() {
        fs::write(LIMITS, table).expect(LIMITS);
        return;
    }
    let limits = table::read(&fs::read_to_string(LIMITS).expect(LIMITS));
    let grown = table::grown(&limits, &rows);
    assert!(grown.is_empty(), "lines move more often:\n{}", grown.join("\n"));
}
