//! Payloads that must be delivered, returned or dropped exactly once.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Makes tokens, and knows which of them are alive.
///
/// Loom does not see this bookkeeping, so that it orders nothing that the ring should order.
#[derive(Clone, Debug, Default)]
pub struct Tokens(Arc<Mutex<Vec<bool>>>);

/// A payload with a name.
#[derive(Debug)]
pub struct Token {
    /// The name that the model gave it.
    pub name: &'static str,
    number: usize,
    tokens: Tokens,
}

impl Tokens {
    /// Returns a new token.
    pub fn make(&self, name: &'static str) -> Token {
        let mut alive = self.alive();
        alive.push(true);
        Token { name, number: alive.len() - 1, tokens: self.clone() }
    }

    /// Asserts that every token has been dropped.
    ///
    /// # Panics
    ///
    /// Panics if a token is alive: the ring has lost it.
    #[track_caller]
    pub fn assert_all_gone(&self) {
        let alive = self.alive();
        assert!(!alive.contains(&true), "tokens that are alive, by number: {alive:?}");
    }

    fn alive(&self) -> MutexGuard<'_, Vec<bool>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        let was_alive = std::mem::replace(&mut self.tokens.alive()[self.number], false);
        // A second panic would abort the process and hide the first message.
        if !std::thread::panicking() {
            assert!(was_alive, "{} is dropped twice", self.name);
        }
    }
}
