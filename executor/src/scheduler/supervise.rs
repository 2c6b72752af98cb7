//! Looks after the sources of open calls and after the workers: what the monitor does.
//!
//! A thread that is blocked inside a user's source does not count as a worker:
//!
//! | threads outside of blocked sources | the monitor |
//! |---|---|
//! | fewer than wanted | starts as many as are missing |
//! | more than wanted, for [`PATIENCE`] looks | lets as many end as are too many |

use std::io;
use std::sync::Arc;

use crate::primitive::{IS_MODEL, Parker};
use crate::scheduler::registry::Scheduler;
use crate::scheduler::source_watch::Look;
use crate::scheduler::threads::{Alive, Entry};
use crate::scheduler::work::Published;
use crate::scheduler::worker;
use crate::scheduler::worker_thread::WorkerThread;
use crate::unwind::{catch_panic, discard};

/// The number of looks for which a surplus of threads must last. A source that blocks again and
/// again would otherwise start a thread each time.
const PATIENCE: u32 = if IS_MODEL { 1 } else { 10 };

impl Scheduler {
    /// Starts a worker.
    pub(crate) fn start_worker(self: &Arc<Self>) -> io::Result<()> {
        self.spawn(&mut self.threads.lock())
    }

    fn spawn(self: &Arc<Self>, alive: &mut Alive) -> io::Result<()> {
        let is_free = |&index: &usize| alive.entries.iter().all(|e| e.thread.index != index);
        let index = (0..).find(is_free).expect("there are fewer threads than numbers");
        let parker = Parker::new();
        let thread = WorkerThread::new(index, parker.unparker(), Arc::clone(&self.monitor));
        alive.entries.reserve(1);
        let (scheduler, own) = (Arc::clone(self), Arc::clone(&thread));
        let builder = self.threads.builder(self.threads.name(index));
        let handle = builder.spawn(move || worker::run(scheduler, own, parker))?;
        self.threads.started(alive, Entry { thread, handle, is_retiring: false });
        Ok(())
    }

    /// Lets the scheduler have a monitor, from the first pull on.
    pub(crate) fn enable_monitor(self: &Arc<Self>) {
        let me = Arc::downgrade(self);
        self.monitor.enable(Box::new(move |parker| {
            let Some(me) = me.upgrade() else { return Err(io::ErrorKind::NotFound.into()) };
            let builder = me.threads.builder(format!("{}-monitor", me.threads.prefix()));
            builder.spawn(move || {
                me.monitor.run(&parker, || me.look_at_sources(), || me.threads.need_monitor());
            })
        }));
    }

    /// Looks at the sources of open calls and at the workers. Returns `true` if the monitor should
    /// look again soon.
    pub(crate) fn look_at_sources(self: &Arc<Self>) -> bool {
        let (mut is_moving, mut blocked) = (false, Vec::<Arc<dyn Published>>::new());
        self.with_open(|open| {
            for work in open {
                match work.look_at_source() {
                    Look::Outside | Look::Blocked => {}
                    Look::Entered => is_moving = true,
                    Look::NewlyBlocked => blocked.push(Arc::clone(work)),
                }
            }
        });
        is_moving |= !blocked.is_empty();
        for work in blocked {
            self.idle.notify_work();
            // Not under the lock: this may use the waker of a task, or drop the call.
            catch_panic(|| work.notify());
            discard(work);
        }
        self.look_at_threads() || is_moving
    }

    /// Looks at the worker threads, starts missing ones, and ends a surplus. Returns
    /// `true` if the monitor should look again soon.
    pub(crate) fn look_at_threads(self: &Arc<Self>) -> bool {
        let threads = &self.threads;
        let mut alive = threads.lock();
        let (mut is_moving, mut outside) = (false, 0);
        for entry in &alive.entries {
            let look = entry.thread.watch.look();
            is_moving |= matches!(look, Look::Entered | Look::NewlyBlocked);
            let is_outside = matches!(look, Look::Outside | Look::Entered);
            outside += usize::from(is_outside && !entry.is_retiring);
        }
        if self.is_stopping() {
            return is_moving;
        }
        let wanted = threads.wanted();
        if outside <= wanted {
            alive.surplus_looks = 0;
            threads.set_surplus(0);
        }
        if outside < wanted {
            is_moving |= self.start_missing(&mut alive, wanted - outside);
        } else {
            alive.refused_looks = 0;
        }
        let is_surplus = outside > wanted;
        if is_surplus {
            alive.surplus_looks += 1;
            #[allow(clippy::modulo_one, reason = "it is 1 in models")]
            if alive.surplus_looks % PATIENCE == 0 {
                threads.set_surplus(outside - wanted);
            }
        }
        drop(alive);
        if is_surplus {
            // A thread that sleeps has to wake up to end.
            self.idle.wake_one();
        }
        is_moving || is_surplus
    }

    /// Starts threads. Returns `true` if the system refused one: the monitor tries again, after
    /// twice as many looks each time.
    fn start_missing(self: &Arc<Self>, alive: &mut Alive, missing: usize) -> bool {
        if alive.refused_looks > 0 && !alive.refused_looks.is_power_of_two() {
            alive.refused_looks = alive.refused_looks.saturating_add(1);
            return true;
        }
        // The handles of threads that have ended are not needed.
        alive.ended.clear();
        let refused = (0..missing).any(|_| self.spawn(alive).is_err());
        alive.refused_looks = if refused { alive.refused_looks.saturating_add(1) } else { 0 };
        refused
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::primitive::thread;
    use crate::scheduler::ThreadSettings;

    #[test]
    fn a_thread_that_retires_is_not_counted_until_it_has_ended() {
        let settings = ThreadSettings { workers: 1, ..ThreadSettings::default() };
        let scheduler = Scheduler::new(settings, false);
        let workers = [0, 1].map(|index| {
            let monitor = Arc::clone(&scheduler.monitor);
            let thread = WorkerThread::new(index, Parker::new().unparker(), monitor);
            let handle = thread::spawn(|| ());
            let entry = Entry { thread: Arc::clone(&thread), handle, is_retiring: false };
            scheduler.threads.started(&mut scheduler.threads.lock(), entry);
            thread
        });
        let retires = |worker| {
            (0..PATIENCE).for_each(|_| _ = scheduler.look_at_threads());
            scheduler.threads.try_retire(worker)
        };
        assert!(retires(&workers[0]));
        assert!(!retires(&workers[1]), "the first one is slow to end");
        scheduler.threads.ended(&workers[0]);
        assert!(!retires(&workers[1]));
        assert!(!scheduler.threads.need_monitor());
    }
}
