//! The measured cost of items, and the chunk sizes that follow from it.
//!
//! | file | remembers |
//! |---|---|
//! | `history` | the cost of an item for each type of job, across calls |
//! | `average` | the moving average of one stream or queue |
//! | `chunk_size` | nothing: it computes the next chunk from the last one |
//! | `next_chunk` | the size of the next chunk of one stream or queue |

pub(crate) mod average;
pub(crate) mod chunk_size;
pub(crate) mod history;
pub(crate) mod next_chunk;

pub(crate) use self::average::AverageCost;
pub(crate) use self::chunk_size::{chunk_size, max_chunk_size};
pub(crate) use self::history::{CostHistory, JobType};
pub(crate) use self::next_chunk::NextChunk;
