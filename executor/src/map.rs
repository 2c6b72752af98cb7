//! Batches of known length with one result for each item.
//!
//! | file | contents |
//! |---|---|
//! | `calls` | `map`, `map_indexed` and `map_init` |
//! | `run` | decides between `inline` and `parallel`, and joins their results |
//! | `results` | the results of a part, and how two parts are joined |
//! | `inline` | the caller runs the items alone |
//! | `parallel` | the caller and the workers share the items |
//! | `work_ranges` | the unstarted items of each thread, and how others steal half of them |
//! | `source` | how items come from an iterator into the output buffer |
//! | `output` | the buffer of items and results |
//! | `blocks` | which blocks of neighbouring items are finished |
//! | `thread_state` | one state for each thread |

mod blocks;
mod calls;
mod inline;
mod output;
mod parallel;
mod results;
mod run;
mod source;
mod thread_state;
mod work_ranges;

/// The source of a batch: an iterator that any thread may pull.
trait Source: Iterator<Item: Send> + Send {}

impl<S: Iterator<Item: Send> + Send> Source for S {}
