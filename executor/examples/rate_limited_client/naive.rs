//! What one writes first: threads that take an item each, and sleep when they are refused.

use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use reorder_executor::AttemptOutcome;

use crate::args::Args;
use crate::client::Client;
use crate::server::{LIMIT, Server, busiest};

pub(crate) fn run(server: &Server, args: &Args) {
    let items =
        (0..args.items).flat_map(|index| (0..args.batches).map(move |batch| (batch, index)));
    let (items, order) = (Mutex::new(items), Mutex::new(Vec::new()));
    let client = Client::new(server.address());
    let start = Instant::now();
    thread::scope(|scope| {
        for _ in 0..args.workers {
            scope.spawn(|| {
                while let Some((batch, index)) = { items.lock().expect("no panic").next() } {
                    while let AttemptOutcome::Retry { after, .. } = client.fetch(batch, index) {
                        thread::sleep(after.unwrap_or(Duration::from_millis(100)));
                    }
                    order.lock().expect("no panic").push((batch, index));
                }
            });
        }
    });
    let time = start.elapsed();
    let order = order.into_inner().expect("no panic");
    let early = order.windows(2).filter(|pair| pair[1].1 < pair[0].1).count();
    let seen = server.take();
    let refused = seen.iter().filter(|seen| seen.status == 429).count();
    println!("\na naive pool, {} threads: {time:.1?}", args.workers);
    println!("  {early} times something came before what it should have come after");
    println!(
        "  the server saw {} requests, at most {} in {:?}, and refused {refused}",
        seen.len(),
        busiest(&seen),
        LIMIT.within
    );
}
