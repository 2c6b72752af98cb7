//! The memory of an owner, its workers and the link depends on the window, and not on the number of
//! items.
//!
//! `REORDER_REMOTE_ITEMS` sets the number of items.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use reorder_remote::{InProcess, Owner, Task, Worker};

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

struct Counting;

// SAFETY: all calls go to the system's allocator, and the numbers do not influence them.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let live = LIVE.fetch_add(layout.size(), Relaxed) + layout.size();
        PEAK.fetch_max(live, Relaxed);
        // SAFETY: the caller keeps the rules of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller keeps the rules of `dealloc`, and `alloc` got it from the system.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Returns the largest number of bytes that a job of this many items has at a time.
fn peak(items: u64) -> usize {
    let before = LIVE.load(Relaxed);
    PEAK.store(before, Relaxed);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let link = InProcess::new();
        let worker = Worker::new(link.clone()).concurrency(16);
        let job = |task: Task<Vec<u8>>| async move { Ok::<_, String>(task.value) };
        tokio::spawn(worker.run(job));
        let owner = Owner::builder(link).window(64).items_per_message(8);
        let owner = owner.resume_from(0).lease(Duration::from_secs(1)).open().await.expect("opens");
        let mut results = owner.map(0..items, |n| vec![n as u8; 100]).results::<Vec<u8>>();
        let mut index = 0;
        while let Some(delivery) = results.next().await.expect("one owner") {
            assert_eq!(delivery.outcome.as_deref(), Ok(&[index as u8; 100][..]));
            delivery.commit().await.expect("one owner");
            index += 1;
        }
        assert_eq!(index, items);
    });
    drop(runtime);
    PEAK.load(Relaxed) - before
}

#[test]
fn the_window_bounds_the_memory() {
    let items = std::env::var("REORDER_REMOTE_ITEMS");
    let items = items.map_or(20_000, |text| text.parse().expect("a number"));
    // The link remembers the ids of 1,024 messages per channel, which have 8 items each.
    let (few, many) = (peak(9_000), peak(items));
    println!("9000 items: {few} bytes; {items} items: {many} bytes");
    // The number of operations that are under way at the peak varies.
    assert!(many <= 2 * few, "9000 items take {few} bytes, and {items} items {many}");
}
