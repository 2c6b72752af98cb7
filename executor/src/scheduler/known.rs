//! The calls that the workers know.
//!
//! A worker keeps a list of the calls that were open at its last look. It may then stay in a job or
//! a source for ever. So the thread that withdraws a call removes it from the lists, and no worker
//! keeps an ended call with its items and captures.
//!
//! The scheduler's lock orders a listing and a withdrawal: a call that is withdrawn first is not
//! listed, and a call that is listed first is marked, in its [`Listed`].

use std::mem;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crate::primitive::hints::AtomicU64;
use crate::primitive::{Mutex, MutexGuard, lock};

/// The workers that have listed a call: a bit for each. Workers whose numbers have the same
/// remainder share one.
#[derive(Default)]
pub(crate) struct Listed(AtomicU64);

impl Listed {
    /// Returns `true` if any worker has listed the call, which was withdrawn.
    pub(crate) fn by_any(&self) -> bool {
        // ORDERING: known:listed: Relaxed; the lock of the scheduler orders it.
        self.0.load(Relaxed) != 0
    }

    /// Returns `true` if this worker may have listed it.
    fn by(&self, worker: usize) -> bool {
        // ORDERING: known:listed_by: Relaxed; as `known:listed`.
        self.0.load(Relaxed) & bit(worker) != 0
    }

    fn note(&self, worker: usize) {
        // ORDERING: known:note: Relaxed; changed under the lock of the scheduler.
        self.0.store(self.0.load(Relaxed) | bit(worker), Relaxed);
    }
}

fn bit(worker: usize) -> u64 {
    1 << (worker % u64::BITS as usize)
}

/// The calls that one worker knows.
pub(crate) struct KnownCalls<T: ?Sized> {
    /// The number of the worker.
    worker: usize,
    calls: Mutex<Vec<Arc<T>>>,
}

impl<T: ?Sized> KnownCalls<T> {
    /// Locks the calls. No other lock of the scheduler is taken under this one.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Vec<Arc<T>>> {
        lock(&self.calls)
    }

    /// Replaces the calls. Exchanges the last ones for `last`, which is empty. `listed` returns the
    /// mark of a call. The caller has the lock of the scheduler. Returns the number of the calls.
    pub(crate) fn list<'a>(
        &self,
        calls: impl Iterator<Item = &'a Arc<T>>,
        listed: impl Fn(&T) -> &Listed,
        last: &mut Vec<Arc<T>>,
    ) -> usize
    where
        T: 'a,
    {
        let mut known = self.lock();
        mem::swap(&mut *known, last);
        known.extend(calls.map(|call| {
            listed(call).note(self.worker);
            Arc::clone(call)
        }));
        known.len()
    }
}

/// The calls that all workers of a scheduler know.
pub(crate) struct Known<T: ?Sized>(Mutex<Vec<Arc<KnownCalls<T>>>>);

impl<T: ?Sized> Known<T> {
    pub(crate) fn new() -> Known<T> {
        Known(Mutex::new(Vec::new()))
    }

    /// Returns the list of a worker that has started.
    pub(crate) fn started(&self, worker: usize) -> Arc<KnownCalls<T>> {
        let calls = Arc::new(KnownCalls { worker, calls: Mutex::new(Vec::new()) });
        lock(&self.0).push(Arc::clone(&calls));
        calls
    }

    /// Forgets the list of a worker that ends.
    pub(crate) fn ended(&self, calls: &Arc<KnownCalls<T>>) {
        lock(&self.0).retain(|other| !Arc::ptr_eq(other, calls));
    }

    /// Removes a call that was withdrawn. The caller keeps a reference, so that no user code runs
    /// here.
    pub(crate) fn forget(&self, call: &Arc<T>, listed: &Listed) {
        for known in lock(&self.0).iter().filter(|known| listed.by(known.worker)) {
            known.lock().retain(|other| !Arc::ptr_eq(other, call));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_forgotten_by_all_workers_that_have_listed_it() {
        let known = Known::new();
        // Two of the workers share a bit.
        let workers = [0, 1, 64, 65].map(|worker| known.started(worker));
        let calls = [(); 2].map(|()| Arc::new(Listed::default()));
        for worker in &workers[1..] {
            let mut last = Vec::new();
            assert_eq!(worker.list(calls.iter(), |call| call, &mut last), 2);
            assert!(last.is_empty());
        }
        assert!(calls[0].by_any() && calls[0].by(65) && calls[0].by(64));
        known.forget(&calls[0], &calls[0]);
        assert_eq!(calls.each_ref().map(Arc::strong_count), [1, 4]);
        assert_eq!(workers.each_ref().map(|worker| worker.lock().len()), [0, 1, 1, 1]);
        let mut last = Vec::new();
        assert_eq!(workers[1].list(calls[..0].iter(), |call| call, &mut last), 0);
        assert!(last.len() == 1 && Arc::ptr_eq(&last[0], &calls[1]));
        known.ended(&workers[2]);
        known.forget(&calls[1], &calls[1]);
        assert_eq!(workers.each_ref().map(|worker| worker.lock().len()), [0, 0, 1, 0]);
    }
}
