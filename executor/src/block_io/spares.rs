//! Buffers that are used again.

use std::sync::Arc;

use crate::primitive::{Mutex, lock};

/// The buffers that neither a thread nor a call has now. Clones share them.
#[derive(Clone)]
pub(super) struct Spares(Arc<Mutex<Option<Vec<Vec<u8>>>>>);

/// Frees the buffers when it is dropped. A worker may keep the job, and so its spares, for longer.
pub(super) struct FreeOnDrop(pub(super) Spares);

impl Spares {
    /// Returns an empty buffer.
    pub(super) fn take(&self) -> Vec<u8> {
        lock(&self.0).as_mut().and_then(Vec::pop).unwrap_or_default()
    }

    pub(super) fn put(&self, mut buffer: Vec<u8>) {
        buffer.clear();
        if let Some(buffers) = &mut *lock(&self.0) {
            buffers.push(buffer);
        }
    }
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
