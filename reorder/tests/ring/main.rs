//! The ring through its public interface. What needs a completer stopped in mid-write is tested
//! inside of the crate.

mod ledger;
mod tally;

mod boundaries;
mod ends;
mod forgotten;
mod order;
mod payloads;
mod reopen;
mod reserving;
mod user_drop;
mod wakes;
mod window;
