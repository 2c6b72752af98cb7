//! Streams the lines of a file through a job and prints the results while later lines are running.
//!
//! ```sh
//! cargo run -p reorder-executor --example stream_lines             # the lines of this program
//! cargo run -p reorder-executor --example stream_lines -- FILE     # - for the standard input
//! ```

use std::error::Error;
use std::fs::File;
use std::io::{self, BufRead, BufReader};

use reorder_executor::Executor;

/// Returns the number of words, and the longest of them.
fn examine(line: &str) -> (usize, String) {
    let words = line.split_whitespace();
    let longest = words.clone().max_by_key(|word| word.chars().count());
    (words.count(), longest.unwrap_or_default().to_owned())
}

fn main() -> Result<(), Box<dyn Error>> {
    // A source has to be `Send`: `StdinLock` is not, a buffered reader of `Stdin` is.
    let input: Box<dyn BufRead + Send> = match std::env::args().nth(1).as_deref() {
        None => Box::new(include_str!("stream_lines.rs").as_bytes()),
        Some("-") => Box::new(BufReader::new(io::stdin())),
        Some(path) => Box::new(BufReader::new(File::open(path)?)),
    };
    // Besides the line that is printed, at most 64 lines are in memory, however long the file is.
    let executor = Executor::builder().window(64).build()?;
    let job = |line: io::Result<String>| line.map(|line| examine(&line));

    let (mut lines, mut words) = (0, 0);
    for outcome in executor.stream(input.lines(), job) {
        // The first `?` is for a panic of the job, the second for an error of the read.
        let (count, longest) = outcome??;
        lines += 1;
        words += count;
        println!("{lines:3}: {count:3} words, the longest is {longest:?}");
    }
    println!("{words} words in {lines} lines");
    Ok(())
}
