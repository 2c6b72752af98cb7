//! A monitor, and a source that it watches.

use std::fmt;
use std::sync::Arc;

use loom::sync::{Condvar, Mutex};
use loom::thread;

use crate::scheduler::monitor::Monitor;
use crate::scheduler::{Look, SourceWatch};

/// A source of one thread, and the monitor that looks whether the thread stays inside.
pub struct WatchedSource {
    monitor: Monitor,
    watch: SourceWatch,
    /// `true` if the monitor has found the thread blocked.
    is_noticed: Mutex<bool>,
    changed: Condvar,
}

impl WatchedSource {
    /// Returns a source, whose monitor has not started.
    pub fn new() -> Arc<WatchedSource> {
        let source = Arc::new(WatchedSource {
            monitor: Monitor::new(),
            watch: SourceWatch::new(),
            is_noticed: Mutex::new(false),
            changed: Condvar::new(),
        });
        let watched = Arc::downgrade(&source);
        source.monitor.enable(Box::new(move |parker| {
            let source = watched.upgrade().expect("its thread is inside");
            Ok(thread::spawn(move || source.monitor.run(&parker, || source.look(), || false)))
        }));
        source
    }

    fn look(&self) -> bool {
        let look = self.watch.look();
        if look == Look::NewlyBlocked {
            *self.is_noticed.lock().unwrap() = true;
            self.changed.notify_all();
        }
        matches!(look, Look::Entered | Look::NewlyBlocked)
    }

    /// Enters the source.
    pub fn enter(&self) {
        self.watch.enter();
        self.monitor.source_entered();
    }

    /// Leaves the source.
    pub fn leave(&self) {
        self.watch.leave(true);
    }

    /// Stays inside until the monitor has noticed that.
    pub fn stay(&self) {
        let mut is_noticed = self.is_noticed.lock().unwrap();
        while !*is_noticed {
            is_noticed = self.changed.wait(is_noticed).unwrap();
        }
    }

    /// Ends the monitor.
    pub fn end(&self) {
        self.monitor.end();
    }
}

impl fmt::Debug for WatchedSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WatchedSource").finish_non_exhaustive()
    }
}
