//! Buffers that are used again, and memory for them.

use std::io::{self, ErrorKind};
use std::sync::Arc;

use crate::primitive::{Mutex, lock};

/// The buffers that no thread and no call uses now. Clones share them.
#[derive(Clone)]
pub(super) struct Spares(Arc<Mutex<Option<Vec<Vec<u8>>>>>);

/// Frees the buffers when it is dropped. A worker may keep the job for longer, and with the job a
/// clone of the spares.
pub(super) struct FreeOnDrop(pub(super) Spares);

impl Spares {
    /// Returns an empty buffer.
    pub(super) fn take(&self) -> Vec<u8> {
        lock(&self.0).as_mut().and_then(Vec::pop).unwrap_or_default()
    }

    /// Keeps a buffer for a later call of `take`.
    pub(super) fn put(&self, mut buffer: Vec<u8>) {
        buffer.clear();
        if let Some(buffers) = &mut *lock(&self.0) {
            buffers.push(buffer);
        }
    }
}

/// Reserves memory for `more` bytes, and for no others. `name` says what the bytes are.
///
/// # Errors
///
/// If there is no memory for them. The buffer is as before.
pub(super) fn reserve(buffer: &mut Vec<u8>, more: usize, name: &str) -> io::Result<()> {
    buffer.try_reserve_exact(more).map_err(|_| {
        io::Error::new(ErrorKind::OutOfMemory, format!("no memory for {name} of {more} bytes"))
    })
}

impl Default for Spares {
    fn default() -> Self {
        Spares(Arc::new(Mutex::new(Some(Vec::new()))))
    }
}

impl Drop for FreeOnDrop {
    fn drop(&mut self) {
        let buffers = lock(&self.0.0).take();
        drop(buffers);
    }
}
