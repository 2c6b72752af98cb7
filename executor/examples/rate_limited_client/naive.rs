//! The client that most programs write first: each thread takes an item, and sleeps when the server
//! refuses the request.

use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use reorder_executor::AttemptOutcome;

use crate::args::Args;
use crate::client::Client;
use crate::server::{LIMIT, Server, peak};

pub(crate) fn run(server: &Server, args: &Args) {
    let items =
        (0..args.items).flat_map(|index| (0..args.batches).map(move |batch| (batch, index)));
    let (items, order) = (Mutex::new(items), Mutex::new(Vec::new()));
    let client = Client::new(server.address());
    let start = Instant::now();
    thread::scope(|scope| {
        for _ in 0..args.workers {
            scope.spawn(|| {
                while let Some((batch, index)) = { items.lock().expect(NO_PANIC).next() } {
                    while let AttemptOutcome::Retry { after, .. } = client.fetch(batch, index) {
                        thread::sleep(after.unwrap_or(Duration::from_millis(100)));
                    }
                    order.lock().expect(NO_PANIC).push((batch, index));
                }
            });
        }
    });
    let time = start.elapsed();
    let order = order.into_inner().expect(NO_PANIC);
    let overtaken = order.windows(2).filter(|pair| pair[1].1 < pair[0].1).count();
    let received = server.take();
    let refused = received.iter().filter(|request| request.status == 429).count();
    println!("\na naive pool, {} threads: {time:.1?}", args.workers);
    println!("  {overtaken} items were overtaken by a later item");
    println!(
        "  the server received {} requests, at most {} in {:?}, and refused {refused}",
        received.len(),
        peak(&received),
        LIMIT.within
    );
}

const NO_PANIC: &str = "no thread panics";
