//! Bytes in blocks: a writer that encodes blocks in parallel, and a reader that decodes them.
//!
//! ```text
//!  write ──cut──▶ blocks ──queue: workers encode──▶ outputs in order ──▶ sink
//!
//!  input ──frames──▶ stream: workers decode ──▶ blocks in order ──▶ read
//! ```
//!
//! The thread that calls the writer also writes to the sink. While the window is full, it encodes
//! blocks, unless `Builder::consumer_helps` is off.
//!
//! | file | contents |
//! |---|---|
//! | `block` | a block as its encoder gets it, and the cutting of blocks |
//! | `frame` | a frame as its decoder gets it, and the frames of an input |
//! | `sink` | the trait of sinks that get a value with each block |
//! | `spares` | buffers that are used again, and memory for them |
//! | `broken` | the reason why a writer or a reader has failed |
//! | `encoding` | the queue of the blocks of a writer |
//! | `writer` | the handle that writes, and its settings |
//! | `reader` | the handle that reads, and its settings |

pub(crate) mod block;
mod broken;
mod encoding;
pub(crate) mod frame;
pub(crate) mod reader;
pub(crate) mod sink;
mod spares;
pub(crate) mod writer;
