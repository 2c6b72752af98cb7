//! Ends the program when nothing moves any more.

use std::process;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use reorder_ring::Ring;

use crate::progress::Progress;

/// Watches one run until it is dropped.
pub(crate) struct Watchdog {
    progress: Arc<Progress>,
    /// Its end is the signal to stop.
    stop: Option<Sender<()>>,
    watching: Option<JoinHandle<()>>,
}

impl Watchdog {
    pub(crate) fn start(title: String, stall: Duration, items: u64, ring: Arc<Ring<u64>>) -> Self {
        let progress = Arc::new(Progress::default());
        let (stop, stopped) = mpsc::channel::<()>();
        let seen = Arc::clone(&progress);
        let watching = thread::spawn(move || {
            let mut last = (Instant::now(), Standing::of(&seen));
            // Looks four times per `stall`, so that it is late by a quarter at most.
            while stopped.recv_timeout(stall / 4) == Err(RecvTimeoutError::Timeout) {
                let now = Standing::of(&seen);
                if now != last.1 {
                    last = (Instant::now(), now);
                } else if last.0.elapsed() >= stall {
                    let reason = now.explain(ring.capacity() as u64, items);
                    eprintln!("{title}: nothing has moved for {stall:?}: {reason}");
                    eprintln!("{now:?}, {items} items, {ring:?}");
                    process::exit(1);
                }
            }
        });
        Watchdog { progress, stop: Some(stop), watching: Some(watching) }
    }

    pub(crate) fn progress(&self) -> Arc<Progress> {
        Arc::clone(&self.progress)
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(watching) = self.watching.take() {
            watching.join().expect("the watchdog does not panic");
        }
    }
}

/// How far each party has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Standing {
    reserved: u64,
    completed: u64,
    delivered: u64,
}

impl Standing {
    fn of(progress: &Progress) -> Self {
        Standing {
            reserved: progress.reserved.get(),
            completed: progress.completed.get(),
            delivered: progress.delivered.get(),
        }
    }

    /// Which party should move, if it is true that none does.
    fn explain(self, window: u64, items: u64) -> String {
        let Standing { reserved, completed, delivered } = self;
        if completed < reserved {
            "the completer stands before what it was given".into()
        } else if delivered < reserved {
            let mut stand =
                format!("the consumer stands before the head of line, index {delivered}");
            if reserved < items && reserved - delivered < window {
                stand += ", and the producer before a window that has room";
            }
            stand
        } else if reserved < items {
            "the producer stands before an empty window".into()
        } else {
            "all is delivered, and a side does not see the end".into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explain(reserved: u64, completed: u64, delivered: u64) -> String {
        Standing { reserved, completed, delivered }.explain(16, 100)
    }

    #[test]
    fn the_one_who_could_move_is_named() {
        assert!(explain(20, 19, 5).starts_with("the completer"));
        assert!(explain(20, 20, 4).ends_with("the head of line, index 4"));
        assert!(explain(20, 20, 5).contains("index 5, and the producer"));
        assert!(explain(100, 100, 99).ends_with("index 99"));
        assert!(explain(20, 20, 20).starts_with("the producer"));
        assert!(explain(100, 100, 100).starts_with("all is delivered"));
    }
}
