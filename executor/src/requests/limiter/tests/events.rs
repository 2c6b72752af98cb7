//! Events that reach the batches that wait at a limiter.

use super::*;

#[test]
fn a_closing_during_a_slow_start_leaves_a_timer_for_its_end() {
    let scheduler = Scheduler::new(ThreadSettings::default(), false);
    let limiter = RateLimiter::builder().build().unwrap().without_jitter();
    let start = now();
    lock(&limiter.0.state).close(start + MS, start);
    let probe = limiter.turn(None).dispatch(start + 2 * MS).unwrap();
    let batch = waiting(&limiter, &scheduler, start + 2 * MS);
    while start.elapsed() < 2 * MS {
        thread::sleep(MS);
    }
    limiter.close_until(now() + 20 * MS);
    // This attempt is of an earlier closing, so its end opens nothing.
    limiter.ended(probe, Answer::None, now());
    while is_resting(&batch) {
        assert!(start.elapsed() < 60_000 * MS, "no timer ends the rest");
        thread::sleep(MS);
    }
}
