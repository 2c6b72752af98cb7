//! The settings of an owner.

use std::sync::Arc;
use std::time::Duration;

use tokio::time;

use crate::link::Link;
use crate::machine::{self, OpenFailure, Opening, OwnerAction, OwnerConfig, Watermark};
use crate::owner::Owner;
use crate::owner::drive::Driver;
use crate::owner::error::OwnerError;

/// The longest time of a setting, so that instants cannot overflow.
const LONGEST: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// The shortest time of a setting.
const SHORTEST: Duration = Duration::from_millis(1);
/// The shortest lease. The owner renews it after a third of it, and timers are precise to 1 ms.
const SHORTEST_LEASE: Duration = Duration::from_millis(10);
/// The number of errors after which the owner does not try to store its record again.
const STORE_ERRORS: u32 = 5;

/// The settings of an [`Owner`]. [`open`](OwnerBuilder::open) takes the lease.
#[derive(Debug)]
#[must_use = "an owner does nothing before it is opened"]
pub struct OwnerBuilder<L> {
    link: L,
    config: OwnerConfig,
}

impl<L: Link> OwnerBuilder<L> {
    pub(super) fn new(link: L) -> OwnerBuilder<L> {
        let config = OwnerConfig {
            window: 256,
            ask_again_after: Duration::from_secs(60),
            attempts: 5,
            lease: Duration::from_secs(5),
            items_per_message: 1,
            max_message: 0,
            watermark: Watermark::InRecord,
            instance: 0,
        };
        OwnerBuilder { link, config }
    }

    /// Sets the number of items that are with the engine, with workers, or delivered and not
    /// committed, from 1 on. The default is 256.
    ///
    /// It bounds the memory of the owner, the stored messages, and the messages that wait for their
    /// acknowledgement. It should be several times the number of jobs that run at once.
    pub fn window(mut self, items: usize) -> OwnerBuilder<L> {
        self.config.window = items;
        self
    }

    /// Sets the number of tasks that share a message, at most a quarter of the window. The default
    /// is 1.
    ///
    /// A message costs a round trip to the engine, whatever it contains. Small jobs are faster if
    /// they share one. The jobs of a message run on one worker.
    pub fn items_per_message(mut self, items: usize) -> OwnerBuilder<L> {
        self.config.items_per_message = items;
        self
    }

    /// Sets the time of silence after which the owner asks for a missing result again, from 1 ms to
    /// 30 days. The default is one minute.
    ///
    /// It must be longer than the jobs of a message take, one after the other. The time in a queue
    /// does not count: the owner waits as long as results of other items come.
    ///
    /// The time doubles with each repetition, up to 64 times.
    pub fn ask_again_after(mut self, silence: Duration) -> OwnerBuilder<L> {
        self.config.ask_again_after = silence.clamp(SHORTEST, LONGEST);
        self
    }

    /// Sets the number of attempts after which an item becomes a gap, at least 1. The default is 5.
    ///
    /// An attempt fails if a worker reports an error, or if a worker had the task and was silent.
    /// A new owner counts from 1 again.
    pub fn attempts(mut self, attempts: u32) -> OwnerBuilder<L> {
        self.config.attempts = attempts.max(1);
        self
    }

    /// Sets the time for which the lease is valid without a renewal, from 10 ms to 30 days. The
    /// default is 5 seconds.
    ///
    /// It must be several times as long as the engine takes to store the record. Otherwise each
    /// renewal comes too late, and the owner delivers nothing.
    ///
    /// The owner renews its lease three times as often. An owner that follows a dead one delivers
    /// nothing for this time, and an eighth more. Tasks run meanwhile. So does the first owner of a
    /// job: it cannot know whether the engine has lost the record of another owner.
    ///
    /// All owners of a job must use the same time.
    pub fn lease(mut self, lease: Duration) -> OwnerBuilder<L> {
        self.config.lease = lease.clamp(SHORTEST_LEASE, LONGEST);
        self
    }

    /// Says that the sink stores the number of committed items itself, and had this number when the
    /// program started, up to 2<sup>60</sup>.
    ///
    /// ```
    /// use reorder_remote::{InProcess, Owner};
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let lines_in_the_file = 3;
    /// let owner = Owner::builder(InProcess::new()).resume_from(lines_in_the_file).open().await?;
    /// assert_eq!(owner.first(), 3);
    /// let source = ["a", "b", "c", "d"];
    /// let results = owner.map(source.into_iter().skip(3), |text| text).results::<usize>();
    /// assert_eq!(results.committed(), 3);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// The sink should store it in one step with the results. Then the death of the owner at any
    /// step repeats no delivery, and a commit needs no round trip to the engine.
    ///
    /// An older owner may be alive, and deliver until the end of its lease. If it does so after the
    /// number was read, this owner delivers the same items again. So the sink ignores an index
    /// below its number.
    ///
    /// Without this setting, the engine keeps the number. If the program dies between the sink and
    /// the commit, the next owner delivers some items again.
    pub fn resume_from(mut self, committed: u64) -> OwnerBuilder<L> {
        self.config.watermark = Watermark::InSink(committed);
        self
    }

    /// Takes the lease, and fences an older owner. After an error of the settings or the record, an
    /// older owner goes on.
    ///
    /// The owner runs in a task of the current tokio runtime. It ends when the owner, or its
    /// [`Results`](crate::Results), are dropped.
    ///
    /// # Errors
    ///
    /// * [`OwnerError::Link`] if the engine does not answer, or cannot store the record in 5 tries.
    /// * [`OwnerError::Record`] if the record of the job cannot be read.
    /// * [`OwnerError::Window`] if the window is 0, or needs too much memory, or if the first index
    ///   is above 2<sup>60</sup>.
    ///
    /// # Panics
    ///
    /// Panics outside of a tokio runtime.
    ///
    /// # Progress
    ///
    /// It waits for the engine: a look at the record, and a change of it. If another owner changes
    /// the record at the same time, it looks again. It does not wait until that owner has stopped:
    /// the first delivery does.
    pub async fn open(self) -> Result<Owner<L>, OwnerError> {
        let OwnerBuilder { link, mut config } = self;
        config.max_message = link.max_message();
        config.instance = machine::new_identity().map_err(OwnerError::Window)?.into();
        let items_per_message = config.items_per_message.max(1);
        let mut opening = Opening::new(config, now());
        let mut store_errors = 0;
        let owner = loop {
            match opening.poll::<L::Receipt>(now()) {
                Some(OwnerAction::Load) => {
                    let entry = link.load().await.map_err(OwnerError::Link)?;
                    opening.loaded(now(), Ok(entry))?;
                }
                // After an error, the record may have been stored. So the owner looks again.
                Some(OwnerAction::Store { value, expected }) => {
                    let result = match link.store(value, expected).await {
                        Err(error) if store_errors + 1 == STORE_ERRORS => {
                            return Err(OwnerError::Link(error));
                        }
                        result => result,
                    };
                    store_errors += u32::from(result.is_err());
                    if let Some(owner) = opening.stored(now(), result) {
                        break owner;
                    }
                }
                _ => match opening.deadline() {
                    Some(deadline) => time::sleep_until(deadline.into()).await,
                    None => unreachable!("the owner loads, stores or waits"),
                },
            }
        };
        let (first, epoch) = (owner.first(), owner.epoch());
        let (shared, driver) = Driver::start(Arc::new(link), owner);
        Ok(Owner { shared, _driver: driver, items_per_message, first, epoch })
    }
}

impl From<OpenFailure> for OwnerError {
    fn from(failure: OpenFailure) -> OwnerError {
        match failure {
            OpenFailure::Record(error) => OwnerError::Record(error),
            OpenFailure::Window(error) => OwnerError::Window(error),
        }
    }
}

fn now() -> std::time::Instant {
    time::Instant::now().into_std()
}
