//! Measures how much processor time the machine gives to this program.

use std::hint::black_box;
use std::thread;
use std::time::{Duration, Instant};

use cpu_time::ThreadTime;

/// Returns the number of processors that two spinning threads get: the sum of their processor
/// times, divided by the elapsed time. It is 2 if at least two processors are free.
pub(crate) fn two_threads_got() -> f64 {
    const LONG: Duration = Duration::from_millis(100);
    let spin = || {
        let (start, worked) = (Instant::now(), ThreadTime::now());
        while start.elapsed() < LONG {
            black_box(0);
        }
        worked.elapsed().as_secs_f64() / start.elapsed().as_secs_f64()
    };
    thread::scope(|scope| {
        let other = scope.spawn(spin);
        spin() + other.join().expect("the thread does not panic")
    })
}

/// Returns a warning if two threads got less than two processors before or after a comparison.
pub(crate) fn warning(before: f64, after: f64) -> Option<String> {
    let least = before.min(after);
    (least < 1.9).then(|| {
        format!(
            "warning: two busy threads got {least:.2} cores: figures of several threads mislead"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_threads_get_at_most_two_processors() {
        let got = two_threads_got();
        assert!(got > 0.0 && got < 2.1, "{got}");
    }

    #[test]
    fn too_few_processors_before_or_after_give_a_warning() {
        assert_eq!(warning(1.99, 1.95), None);
        assert!(warning(1.99, 1.2).is_some_and(|text| text.contains("1.20")));
        assert!(warning(1.0, 1.99).is_some());
    }
}
