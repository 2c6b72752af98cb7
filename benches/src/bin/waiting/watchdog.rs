//! Ends the program when a run makes no progress any more.

use std::process;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use reorder_ring::Ring;

use crate::progress::Progress;

/// Watches one run until the watchdog is dropped.
pub(crate) struct Watchdog {
    progress: Arc<Progress>,
    /// The drop of this sender stops the watching thread.
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watchdog {
    pub(crate) fn start(title: String, stall: Duration, items: u64, ring: Arc<Ring<u64>>) -> Self {
        let progress = Arc::new(Progress::default());
        let (stop, stopped) = mpsc::channel::<()>();
        let watched = Arc::clone(&progress);
        let thread = thread::spawn(move || {
            let mut last = (Instant::now(), Counts::of(&watched));
            // Reads the counters four times per `stall`, so it is late by a quarter at most.
            while stopped.recv_timeout(stall / 4) == Err(RecvTimeoutError::Timeout) {
                let now = Counts::of(&watched);
                if now != last.1 {
                    last = (Instant::now(), now);
                } else if last.0.elapsed() >= stall {
                    let stalled = now.stalled_parties(ring.capacity() as u64, items);
                    eprintln!("{title}: no progress for {stall:?}: {stalled}");
                    eprintln!("{now:?}, {items} items, {ring:?}");
                    process::exit(1);
                }
            }
        });
        Watchdog { progress, stop: Some(stop), thread: Some(thread) }
    }

    pub(crate) fn progress(&self) -> Arc<Progress> {
        Arc::clone(&self.progress)
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the watchdog does not panic");
        }
    }
}

/// The number of items that each party has processed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Counts {
    reserved: u64,
    completed: u64,
    delivered: u64,
}

impl Counts {
    fn of(progress: &Progress) -> Self {
        Counts {
            reserved: progress.reserved.get(),
            completed: progress.completed.get(),
            delivered: progress.delivered.get(),
        }
    }

    /// Returns the parties that could proceed, although none of them does.
    fn stalled_parties(self, window: u64, items: u64) -> String {
        let Counts { reserved, completed, delivered } = self;
        if completed < reserved {
            "the completer has tickets to complete".into()
        } else if delivered < reserved {
            let mut parties = format!("the consumer could take index {delivered}");
            if reserved < items && reserved - delivered < window {
                parties += ", and the producer could reserve a free slot";
            }
            parties
        } else if reserved < items {
            "the producer could reserve, for the ring is empty".into()
        } else {
            "all items are delivered, but a side does not see the end".into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stalled(reserved: u64, completed: u64, delivered: u64) -> String {
        Counts { reserved, completed, delivered }.stalled_parties(16, 100)
    }

    #[test]
    fn the_message_names_the_parties_that_could_proceed() {
        assert!(stalled(20, 19, 5).starts_with("the completer"));
        assert!(stalled(20, 20, 4).ends_with("the consumer could take index 4"));
        assert!(stalled(20, 20, 5).contains("index 5, and the producer"));
        assert!(stalled(100, 100, 99).ends_with("index 99"));
        assert!(stalled(20, 20, 20).starts_with("the producer"));
        assert!(stalled(100, 100, 100).starts_with("all items are delivered"));
    }
}
