//! Jobs that may fail: a vector, another collection, or the values and the failures apart.
//!
//! The first two stand for `par_iter().map(..).collect::<Result<..>>()` of rayon.
//!
//! ```sh
//! cargo run -p reorder-executor --example collect_results
//! ```

use std::collections::BTreeMap;
use std::error::Error;
use std::num::ParseIntError;

use reorder_executor::{Executor, IteratorExt};

fn parse(text: &&str) -> Result<u32, ParseIntError> {
    text.trim().parse()
}

fn main() -> Result<(), Box<dyn Error>> {
    let executor = Executor::builder().workers(2).build()?;
    let good = ["1", " 2", "3 "];
    let bad = ["1", "two", "3", "four"];

    // A vector, of items that may be borrowed. The error names the first item that failed, in the
    // order of the items.
    assert_eq!(executor.try_map(&good, parse)?, [1, 2, 3]);
    let error = executor.try_map(&bad, parse).unwrap_err();
    println!("{error}");
    assert_eq!(error.index, 1);

    // Any other collection, from any iterator. It ends at the first error, in the order of the
    // items. The workers run ahead by up to a window, so later items may have run.
    let pairs = good.into_iter().try_ordered_map(|text| parse(&text).map(|n| (n, text)));
    let by_number: BTreeMap<u32, &str> = pairs.collect::<Result<_, _>>()?;
    assert_eq!(by_number[&2], " 2");
    let sum: Result<u32, _> = bad.into_iter().try_ordered_map(|text| parse(&text)).sum();
    assert!(sum.is_err());

    // Everything, also behind an error: values and failures apart.
    let report = executor.batch(bad).run(|text, _job| parse(&text));
    let failed: Vec<usize> = report.failures().map(|(index, _)| index).collect();
    let values: Vec<u32> = report.into_iter().filter_map(Result::ok).collect();
    println!("values {values:?}, failures at {failed:?}");
    assert_eq!((values, failed), (vec![1, 3], vec![1, 3]));
    Ok(())
}
