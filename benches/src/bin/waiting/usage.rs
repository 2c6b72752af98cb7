//! Processor time and waits of one side.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

#[derive(Clone, Copy, Default)]
pub(crate) struct Usage {
    /// Of the processor, by the clock of the side's thread, if there is one.
    time: Option<Duration>,
    /// How often it found that it had to wait.
    waits: u64,
    /// How often it gave its thread away for that.
    sleeps: Option<u64>,
}

impl Usage {
    /// Of what `report` tells.
    pub(crate) const HEADINGS: &str = "processor      waits     sleeps";

    /// The processor time as a share of `elapsed`, and the counts.
    pub(crate) fn report(&self, elapsed: Duration) -> String {
        let unknown = || String::from("unknown");
        let share = self.time.map_or_else(unknown, |time| {
            format!("{:.1} %", 100.0 * time.as_secs_f64() / elapsed.as_secs_f64())
        });
        let sleeps = self.sleeps.map_or_else(unknown, |sleeps| sleeps.to_string());
        format!("{share:>9} {:>10} {sleeps:>10}", self.waits)
    }
}

/// Measures a side that has a thread of its own, which has done nothing before.
pub(crate) struct OfThread {
    waits: u64,
}

impl OfThread {
    pub(crate) fn start() -> Self {
        OfThread { waits: 0 }
    }

    pub(crate) fn count_wait(&mut self) {
        self.waits += 1;
    }

    pub(crate) fn end(self) -> Usage {
        Usage { time: thread::time(), waits: self.waits, sleeps: thread::sleeps() }
    }
}

/// Measures a side that is a task: what its polls take, and how many are in vain.
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

/// What the system knows of the calling thread.
#[cfg(target_os = "linux")]
mod thread {
    use std::mem::MaybeUninit;
    use std::time::Duration;

    /// How much processor time it has used: unlike the time of day, no other load adds to it.
    pub(super) fn time() -> Option<Duration> {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: the call writes a time to the place that it is given, which is valid for it.
        let answer = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
        assert_eq!(answer, 0);
        Some(Duration::new(time.tv_sec.try_into().ok()?, time.tv_nsec.try_into().ok()?))
    }

    /// How often it went to sleep; being preempted and yielding do not count.
    pub(super) fn sleeps() -> Option<u64> {
        let mut usage = MaybeUninit::<libc::rusage>::zeroed();
        // SAFETY: the call writes to the place that it is given, which is valid for it.
        let answer = unsafe { libc::getrusage(libc::RUSAGE_THREAD, usage.as_mut_ptr()) };
        assert_eq!(answer, 0);
        // SAFETY: it was written; and all-zero bytes are a valid value, too.
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
