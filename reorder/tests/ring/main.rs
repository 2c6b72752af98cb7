//! The ring through its public interface. What needs a completer stopped in mid-write is tested
//! inside of the crate.

#[cfg(all(target_os = "linux", not(miri), feature = "std"))]
mod cpu_time;
mod ledger;
mod tally;

mod auto_traits;
mod boundaries;
mod ends;
mod forgotten;
mod order;
mod payloads;
mod reopen;
mod reserving;
mod space;
mod user_drop;
#[cfg(feature = "std")]
mod waits;
mod wakers;
mod wakes;
mod window;
