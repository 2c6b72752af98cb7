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
//! | `integers` | the items of a range of integers, which are not pulled |
//! | `source` | how items come from an iterator into the output buffer |
//! | `output` | the buffer of items and results |
//! | `blocks` | which blocks of neighbouring items are finished |
//! | `thread_state` | one state for each thread |

mod blocks;
mod calls;
mod inline;
mod integers;
mod output;
mod parallel;
mod results;
mod run;
mod source;
mod thread_state;
mod work_ranges;

#[cfg(reorder_loom)]
pub(crate) use self::{
    blocks::BlockLayout,
    output::Output,
    source::{SharedSource, of_iterator},
    work_ranges::WorkRanges,
};

use std::sync::Arc;

use crate::cost::JobType;
use crate::observe::CallSpan;
use crate::scheduler::{ConcurrencyLimit, Scheduler};

/// The source of a batch: an iterator that any thread may pull.
trait Source: Iterator<Item: Send> + Send {}

impl<S: Iterator<Item: Send> + Send> Source for S {}

/// The job of a batch, which any thread may run.
trait Job<I>: Sync {
    type Value: Send;
    /// Belongs to one thread during one time slice.
    type Local<'a>
    where
        Self: 'a;

    /// Starts a time slice of a thread, by its number among the participants of the batch.
    fn local(&self, participant: usize) -> Self::Local<'_>;

    fn run(&self, local: &mut Self::Local<'_>, item: I) -> Self::Value;
}

impl<I, U: Send, F: Fn(I) -> U + Sync> Job<I> for F {
    type Value = U;
    type Local<'a>
        = ()
    where
        F: 'a;

    fn local(&self, _: usize) {}

    #[inline]
    fn run(&self, (): &mut (), item: I) -> U {
        self(item)
    }
}

/// A call: its job, and the job type by which the scheduler remembers what items cost.
struct Call<'a, F> {
    scheduler: &'a Arc<Scheduler>,
    job_type: JobType,
    job: &'a F,
    share: Share<'a>,
    span: &'a CallSpan,
}

/// Says how the threads share the items of a call.
#[derive(Clone, Copy, Default)]
pub(crate) struct Share<'a> {
    /// `true` if each thread takes one item at a time, because items may wait for each other.
    pub(crate) is_concurrent: bool,
    /// The limit of the threads that run items at the same time.
    pub(crate) limit: Option<&'a ConcurrencyLimit>,
}

impl<F> Call<'_, F> {
    /// Returns the maximum number of items of one claim, which is `most` if items need not wait for
    /// each other.
    fn max_claim(&self, most: u32) -> u32 {
        if self.share.is_concurrent { 1 } else { most }
    }
}
