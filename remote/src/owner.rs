//! The owner of a job: it publishes tasks, and gets the results in order.
//!
//! | module | contains |
//! |---|---|
//! | `builder` | the settings, and how an owner takes the lease |
//! | `results` | what the consumer calls: deliveries and commits |
//! | `drive` | the task that performs the actions of the state machine |
//! | `error` | the reasons why an owner ends |

mod builder;
mod drive;
mod error;
mod results;

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::gap::Gap;
use crate::link::Link;
use crate::task;
pub use builder::OwnerBuilder;
use drive::{Driver, Shared};
pub use error::OwnerError;
pub use results::{Delivery, Results};

/// The owner of a job, which has the lease.
///
/// [`builder`](Owner::builder) takes the lease. Then [`map`](Owner::map) sends the items of a
/// source to the workers.
///
/// # Two owners
///
/// A job has one owner at a time. A newer owner takes the lease from an older one, and the older
/// one ends with [`OwnerError::Fenced`]. The newer owner delivers nothing before the older one has
/// stopped. So a program may start an owner on another machine as soon as it suspects that the
/// first one is dead.
///
/// The sink is the only part that no owner can guard. If a program stops between a delivery and the
/// sink, and goes on a minute later, it writes to the sink after the newer owner. The same holds
/// for a machine that was suspended: its clock may have stood still, so the owner takes its lease
/// for valid. A sink that is idempotent by index, or that compares the [`epoch`](Owner::epoch),
/// refuses that.
pub struct Owner<L: Link> {
    shared: Arc<Shared<L::Receipt>>,
    /// Ends the task when it is dropped.
    _driver: Driver,
    items_per_message: usize,
    first: u64,
    epoch: u64,
}

impl<L: Link> fmt::Debug for Owner<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut owner = f.debug_struct("Owner");
        owner.field("first", &self.first).field("epoch", &self.epoch).finish_non_exhaustive()
    }
}

impl<L: Link> Owner<L> {
    /// Returns the settings of an owner, with their defaults.
    pub fn builder(link: L) -> OwnerBuilder<L> {
        OwnerBuilder::new(link)
    }

    /// Returns the index of the first item that is not committed: the number of items of the source
    /// that the caller skips.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// Returns the epoch of this owner. A newer owner of the job has a higher epoch.
    ///
    /// If the engine loses its storage, the epochs of later owners begin at 1 again.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Sends a task for each item to the workers. The items begin with the item of index
    /// [`first`](Owner::first).
    ///
    /// An index must mean the same item after each restart of the owner.
    ///
    /// The source and the function run while the consumer waits in [`Results::next`]. They must not
    /// block, if the caller's runtime does not allow it. A panic leaves [`Results::next`].
    pub fn map<I, T, F>(
        self,
        items: I,
        mut task: F,
    ) -> Mapped<L, impl Iterator<Item = Result<bytes::Bytes, Gap>>>
    where
        I: IntoIterator,
        T: Serialize,
        F: FnMut(I::Item) -> T,
    {
        let encode = move |item| task::encode(&task(item)).map_err(|error| Gap::Payload { error });
        Mapped { owner: self, tasks: items.into_iter().map(encode) }
    }
}

/// A source whose items go to the workers. [`results`](Mapped::results) names the type of the
/// results.
#[must_use = "no task is published before the results are asked for"]
pub struct Mapped<L: Link, I> {
    owner: Owner<L>,
    tasks: I,
}

impl<L: Link, I> fmt::Debug for Mapped<L, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mapped").field("owner", &self.owner).finish_non_exhaustive()
    }
}

impl<L: Link, I: Iterator<Item = Result<bytes::Bytes, Gap>>> Mapped<L, I> {
    /// Returns the results, in the order of the items.
    ///
    /// The jobs of the workers must return values of this type.
    pub fn results<R: DeserializeOwned>(self) -> Results<L, I, R> {
        let Mapped { owner, tasks } = self;
        Results { owner, tasks, is_finished: false, panicked: false, values: PhantomData }
    }
}
