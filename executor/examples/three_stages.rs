//! Decodes frames of samples in parallel, drops repeated frames in order, and encodes the others in
//! parallel.
//!
//! ```sh
//! cargo run -p reorder-executor --example three_stages
//! ```

use std::error::Error;
use std::num::ParseIntError;

use reorder_executor::{Executor, IteratorExt};

type Frame = Vec<i32>;

/// Decodes a line of numbers.
fn decode(line: String) -> Result<Frame, ParseIntError> {
    line.split(' ').map(str::parse).collect()
}

/// Returns the mean of each two neighbours.
fn smooth(frame: Frame) -> Frame {
    frame.windows(2).map(|pair| (pair[0] + pair[1]) / 2).collect()
}

/// Encodes a frame as its first sample and the differences of the others.
fn encode(frame: Frame) -> String {
    let mut last = 0;
    let differences = frame.into_iter().map(|sample| {
        let difference = sample - last;
        last = sample;
        difference.to_string()
    });
    differences.collect::<Vec<_>>().join(" ")
}

/// Runs the stages. All of them share the workers, and each holds at most a window of frames.
fn convert(
    executor: &Executor,
    lines: impl Iterator<Item = String> + Send + 'static,
) -> Result<Vec<String>, ParseIntError> {
    let mut last = None;
    lines
        .ordered_map_in(executor, decode)
        // Between two stages, one thread at a time gets the frames, in order. So this can drop each
        // frame that is equal to the frame before it.
        .filter(move |frame| match frame {
            Ok(frame) => last.replace(frame.clone()).as_ref() != Some(frame),
            Err(_) => true,
        })
        // Nothing here needs the order between the two functions, so they are one job.
        .ordered_map_in(executor, |frame| frame.map(|frame| encode(smooth(frame))))
        .collect()
}

fn main() -> Result<(), Box<dyn Error>> {
    let executor = Executor::builder().workers(2).window(64).build()?;
    // Each tenth frame repeats the frame before it.
    let lines = (0..1000).map(|n| n - i32::from(n % 10 == 9));
    let lines = lines.map(|n| format!("{n} {} {}", n + 2, n + 6));
    let encoded = convert(&executor, lines)?;
    println!("{} frames, the last is {:?}", encoded.len(), encoded.last());
    assert_eq!((encoded.len(), &encoded[0][..]), (900, "1 3"));

    let error = convert(&executor, ["1 2", "x"].map(str::to_owned).into_iter()).unwrap_err();
    println!("a damaged frame: {error}");
    Ok(())
}
