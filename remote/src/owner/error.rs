//! The reasons why an owner ends.

use std::fmt;

use reorder_ring::CapacityError;

use crate::link::LinkError;
use crate::wire::WireError;

/// The reason why an owner cannot be opened, or has ended.
#[derive(Debug)]
#[non_exhaustive]
pub enum OwnerError {
    /// A newer owner has taken the lease. This owner delivers and commits nothing more.
    Fenced {
        /// The epoch of the newer owner.
        epoch: u64,
    },
    /// The window is 0 or too large, or the first index is above 2<sup>60</sup>.
    Window(CapacityError),
    /// The engine does not answer while the owner takes the lease. The caller may try again.
    Link(LinkError),
    /// The record of the job cannot be read. Another version of this crate may have written it.
    Record(WireError),
    /// The owner has ended. Its [`Results`](crate::Results) were dropped, its source panicked, or
    /// its runtime was shut down.
    Closed,
}

impl fmt::Display for OwnerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OwnerError::Fenced { epoch } => {
                write!(f, "a newer owner, of epoch {epoch}, has taken the lease")
            }
            OwnerError::Window(error) => write!(f, "the window is not possible: {error}"),
            OwnerError::Link(error) => write!(f, "the lease cannot be taken: {error}"),
            OwnerError::Record(error) => write!(f, "the record of the job: {error}"),
            OwnerError::Closed => f.write_str(
                "the owner has ended: its results were dropped, its source panicked, or its \
                 runtime was shut down",
            ),
        }
    }
}

impl std::error::Error for OwnerError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            OwnerError::Fenced { .. } | OwnerError::Closed => None,
            OwnerError::Window(error) => Some(error),
            OwnerError::Link(error) => Some(error),
            OwnerError::Record(error) => Some(error),
        }
    }
}
