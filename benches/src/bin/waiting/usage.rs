//! The processor time and the waits of one side.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

#[derive(Clone, Copy, Default)]
pub(crate) struct Usage {
    /// The processor time of the side. `None` if the system has no such clock per thread.
    time: Option<Duration>,
    /// The number of times that the side had to wait.
    waits: u64,
    /// The number of times that the side left its thread: a thread went to sleep, or a task
    /// returned `Pending`. `None` if the system does not count them.
    sleeps: Option<u64>,
}

impl Usage {
    /// The headings of the columns that `report` fills.
    pub(crate) const HEADINGS: &str = "processor      waits     sleeps";

    /// Returns the processor time as a percentage of `elapsed`, and the counts.
    pub(crate) fn report(&self, elapsed: Duration) -> String {
        let unknown = || String::from("unknown");
        let share = self.time.map_or_else(unknown, |time| {
            format!("{:.1} %", 100.0 * time.as_secs_f64() / elapsed.as_secs_f64())
        });
        let sleeps = self.sleeps.map_or_else(unknown, |sleeps| sleeps.to_string());
        format!("{share:>9} {:>10} {sleeps:>10}", self.waits)
    }
}

/// Measures a side that runs alone on a new thread: the clock of the thread starts with the side.
pub(crate) struct ThreadMeter {
    waits: u64,
}

impl ThreadMeter {
    pub(crate) fn start() -> Self {
        ThreadMeter { waits: 0 }
    }

    pub(crate) fn count_wait(&mut self) {
        self.waits += 1;
    }

    pub(crate) fn end(self) -> Usage {
        Usage { time: thread::time(), waits: self.waits, sleeps: thread::sleeps() }
    }
}

/// Measures a side that is a task: the time of its polls, and the polls that return `Pending`.
pub(crate) struct Metered<F> {
    side: Pin<Box<F>>,
    usage: Usage,
}

impl<F> Metered<F> {
    pub(crate) fn new(side: F) -> Self {
        let usage = Usage { time: Some(Duration::ZERO), waits: 0, sleeps: Some(0) };
        Metered { side: Box::pin(side), usage }
    }
}

impl<F: Future<Output = ()>> Future for Metered<F> {
    type Output = Usage;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Usage> {
        let before = thread::time();
        let polled = self.side.as_mut().poll(cx);
        let spent = thread::time().zip(before).map(|(after, before)| after - before);
        let usage = &mut self.usage;
        usage.time = usage.time.zip(spent).map(|(sum, spent)| sum + spent);
        if polled.is_pending() {
            usage.waits += 1;
            usage.sleeps = Some(usage.waits);
        }
        polled.map(|()| *usage)
    }
}

/// Counters of the operating system for the calling thread.
#[cfg(target_os = "linux")]
mod thread {
    use std::mem::MaybeUninit;
    use std::time::Duration;

    /// Returns the processor time that the thread has used. Other load on the machine does not add
    /// to it.
    pub(super) fn time() -> Option<Duration> {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: the pointer is valid for the write of a `timespec`.
        let status = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
        assert_eq!(status, 0);
        Some(Duration::new(time.tv_sec.try_into().ok()?, time.tv_nsec.try_into().ok()?))
    }

    /// Returns the number of times that the thread went to sleep. Preemptions and yields do not
    /// count.
    pub(super) fn sleeps() -> Option<u64> {
        let mut usage = MaybeUninit::<libc::rusage>::zeroed();
        // SAFETY: the pointer is valid for the write of a `rusage`.
        let status = unsafe { libc::getrusage(libc::RUSAGE_THREAD, usage.as_mut_ptr()) };
        assert_eq!(status, 0);
        // SAFETY: the call has written the value. The zeroes before it are a valid value, too.
        unsafe { usage.assume_init() }.ru_nvcsw.try_into().ok()
    }
}

#[cfg(not(target_os = "linux"))]
mod thread {
    use std::time::Duration;

    pub(super) fn time() -> Option<Duration> {
        None
    }

    pub(super) fn sleeps() -> Option<u64> {
        None
    }
}
