//! Runs a job on every item of a known input and collects the results in the order of the items.
//!
//! ```sh
//! cargo run -p reorder-executor --example map_in_order
//! ```

use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use reorder_executor::{BuildError, Executor};

fn main() -> Result<(), BuildError> {
    let executor = Executor::builder().workers(3).build()?;
    let words = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta"];

    // The items and the job may borrow. This thread helps the workers.
    let finished = Mutex::new(Vec::new());
    let lengths = executor.map(&words, |word| {
        // The first words take longest, so the jobs finish out of order.
        thread::sleep(Duration::from_millis(60 / word.len() as u64));
        finished.lock().expect("no job panics").push(*word);
        word.len()
    });
    println!("finished: {}", finished.into_inner().expect("no job panics").join(" "));
    for (word, length) in words.iter().zip(&lengths) {
        println!("{word:8} {length}");
    }
    assert_eq!(lengths, [5, 4, 5, 5, 7, 4]);

    // The executor splits a range of indices as it stands. No thread has to pull an iterator.
    let squares = executor.map_indexed(1_000_000, |n| n as u64 * n as u64);
    println!("the sum of {} squares: {}", squares.len(), squares.iter().sum::<u64>());

    // Each thread makes one buffer, before its first item, and uses it for all of its items.
    let digits = executor.map_init(0..1000, String::new, |buffer, n| {
        buffer.clear();
        buffer.push_str(&n.to_string());
        buffer.len()
    });
    println!("the numbers below 1000 have {} digits", digits.iter().sum::<usize>());
    assert_eq!(digits.iter().sum::<usize>(), 2890);
    Ok(())
}
