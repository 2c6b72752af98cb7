//! Payloads of which each has to be delivered, returned or dropped exactly once.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Makes tokens and knows which are left.
///
/// The counts are invisible to loom: they must not order what the ring should order.
#[derive(Clone, Debug, Default)]
pub struct Tokens(Arc<Mutex<Vec<bool>>>);

/// A payload that says whose it is.
#[derive(Debug)]
pub struct Token {
    /// What the model calls it.
    pub name: &'static str,
    number: usize,
    tokens: Tokens,
}

impl Tokens {
    /// A new token.
    pub fn make(&self, name: &'static str) -> Token {
        let mut alive = self.alive();
        alive.push(true);
        Token { name, number: alive.len() - 1, tokens: self.clone() }
    }

    /// Every token that was made is gone.
    ///
    /// # Panics
    ///
    /// If one is left: lost in the ring, where nobody will ever drop it.
    #[track_caller]
    pub fn assert_all_gone(&self) {
        let alive = self.alive();
        assert!(!alive.contains(&true), "left over, by number: {alive:?}");
    }

    fn alive(&self) -> MutexGuard<'_, Vec<bool>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        let was_alive = std::mem::replace(&mut self.tokens.alive()[self.number], false);
        // A second panic would abort, and say less.
        if !std::thread::panicking() {
            assert!(was_alive, "{} is dropped twice", self.name);
        }
    }
}
