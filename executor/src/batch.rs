//! Calls with limits, and reports with an outcome for each item.
//!
//! | file | contents |
//! |---|---|
//! | `builder` | the settings, and the calls that run a batch |
//! | `handle` | a submitted batch |
//! | `keyed` | batches whose outcomes are in order by key |
//! | `report` | the outcomes of a whole batch |
//! | `try_map` | all values or the first error |
//! | `weighed` | batches whose items have weights |

pub(crate) mod builder;
pub(crate) mod handle;
pub(crate) mod keyed;
pub(crate) mod report;
mod try_map;
pub(crate) mod weighed;

pub(crate) use self::builder::{Admitted, BatchBuilder};
pub(crate) use self::handle::{BatchHandle, Refused};
pub(crate) use self::keyed::KeyedBatch;
pub(crate) use self::report::BatchReport;
pub(crate) use self::weighed::WeighedBatch;
