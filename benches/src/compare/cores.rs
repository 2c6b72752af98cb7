//! Whether the machine gives its processors to those who measure.

use std::hint::black_box;
use std::thread;
use std::time::{Duration, Instant};

use cpu_time::ThreadTime;

/// How many processors two threads got that did nothing but spin for a while: their processor time
/// by the clock on the wall. 2 is undisturbed, on a machine with two processors or more.
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
        spin() + other.join().expect("it only spins")
    })
}

/// What to say about figures before and after which two threads got so many processors.
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
    fn no_more_than_two_can_be_had() {
        let got = two_threads_got();
        assert!(got > 0.0 && got < 2.1, "{got}");
    }

    #[test]
    fn less_on_either_side_is_told() {
        assert_eq!(warning(1.99, 1.95), None);
        assert!(warning(1.99, 1.2).is_some_and(|text| text.contains("1.20")));
        assert!(warning(1.0, 1.99).is_some());
    }
}
