//! The executor of the whole process.

// Of `std` also in models, which have no global executor: nothing may outlive a run of a model.
use std::sync::{Mutex, OnceLock, PoisonError};

use crate::builder::{BuildError, Builder};
use crate::executor::Executor;

static GLOBAL: OnceLock<Executor> = OnceLock::new();
/// Held by the thread that makes the executor.
static MAKING: Mutex<()> = Mutex::new(());

impl Executor {
    /// Returns the executor of the process, which is made at its first use.
    ///
    /// This executor has as many workers as the process has processors, unless
    /// [`Builder::build_global`] has made it before. No code drops it, so the end of `main` does
    /// not wait for its jobs. After its [`shutdown`](Executor::shutdown) it stays shut down.
    ///
    /// ```
    /// use reorder_executor::Executor;
    ///
    /// let words = vec![String::from("one"), String::from("three")];
    /// assert_eq!(Executor::global().map(&words, |word| word.len()), [3, 5]);
    /// ```
    ///
    /// A fork of the process has this executor without its workers, as [`Executor`] says. If the
    /// parent has not used the executor, the child makes one of its own.
    ///
    /// # Panics
    ///
    /// If this is the first use, and the system refuses a thread. The next use tries again. To get
    /// an error instead, call [`Builder::build_global`] first.
    ///
    /// # Progress
    ///
    /// The first use blocks as [`Builder::build`]. Later uses are wait-free: one load.
    pub fn global() -> &'static Executor {
        GLOBAL.get().unwrap_or_else(|| match make(Executor::builder()) {
            Ok(executor) => executor,
            // Another thread was faster.
            Err(BuildError::GlobalExists) => GLOBAL.get().expect("it exists"),
            Err(error) => cannot_start(&error),
        })
    }
}

impl Builder {
    /// Starts the workers of the executor that [`Executor::global`] returns.
    ///
    /// Call it at the start of `main`. A library should leave the call to the program.
    ///
    /// ```standalone_crate
    /// use reorder_executor::{BuildError, Executor};
    ///
    /// let global = Executor::builder().workers(2).build_global()?;
    /// assert_eq!(global.workers(), 2);
    /// let error = Executor::builder().build_global().unwrap_err();
    /// assert!(matches!(error, BuildError::GlobalExists));
    /// # Ok::<(), reorder_executor::BuildError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`build`](Builder::build), and [`BuildError::GlobalExists`] if the executor was made
    /// before: by this function, or by its first use. It then keeps its settings.
    ///
    /// # Panics
    ///
    /// As [`build`](Builder::build).
    ///
    /// # Progress
    ///
    /// As [`build`](Builder::build). It also waits for another thread that makes the executor.
    pub fn build_global(self) -> Result<&'static Executor, BuildError> {
        make(self)
    }
}

fn make(builder: Builder) -> Result<&'static Executor, BuildError> {
    // It protects no value that a panic could leave half changed.
    let _making = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
    if GLOBAL.get().is_some() {
        return Err(BuildError::GlobalExists);
    }
    let executor = builder.build()?;
    Ok(GLOBAL.get_or_init(|| executor))
}

#[cold]
fn cannot_start(error: &BuildError) -> ! {
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}"));
    panic!("the global executor cannot start: {error}{}", cause.unwrap_or_default())
}
