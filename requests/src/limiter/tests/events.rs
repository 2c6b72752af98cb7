//! Events that reach the batches that wait at a limiter.

use super::*;

#[test]
fn a_closing_during_a_slow_start_leaves_a_timer_for_its_end() {
    let limiter = RateLimiter::builder().build().unwrap().without_jitter();
    let start = now();
    lock(&limiter.0.state).close(start + MS, start);
    let probe = limiter.turn(None).dispatch(start + 2 * MS).unwrap();
    let batch = waiting(&limiter, start + 2 * MS);
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

#[test]
fn cheap_attempts_do_not_overtake_a_costly_one_for_ever() {
    let quota = Quota::new(NonZeroU32::new(10).unwrap(), 100 * MS).unwrap();
    let limiter = RateLimiter::builder().cost_quota(quota).build().unwrap();
    let (start, mut cheap) = (now() + MS, limiter.turn(None));
    assert_eq!(dispatches(&mut cheap, start), 10);
    cheap.leave(start);
    let Batch { turn, rest } = batch(&limiter);
    let mut costly = turn.with_cost(10);
    let mut made = [0, 0];
    for time in (0..1000).map(|time| start + time * MS) {
        // The timer of the limiter fires.
        limiter.serve(lock(&limiter.0.state), time);
        if !rest.is_resting() {
            made[0] += u32::from(rest.look(|| costly.dispatch(time).is_ok()));
        }
        made[1] += u32::from(cheap.dispatch(time).is_ok());
    }
    // Both spend 10 tokens in 100 ms, and take turns.
    assert!(made[0] >= 8, "{made:?}");
}

#[test]
fn batches_without_a_limiter_open_at_different_times() {
    let start = now();
    let opening = || {
        let limiter = RateLimiter::unlimited();
        lock(&limiter.0.state).close(start + 3_600_000 * MS, start);
        limiter.turn(None).opening(start)
    };
    assert_ne!(opening(), opening());
}

#[test]
fn a_limiter_is_not_locked_while_its_description_is_written() {
    struct Writer<'a>(&'a RateLimiter, usize);

    impl fmt::Write for Writer<'_> {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            assert!(self.0.0.state.try_lock().is_ok());
            self.1 += text.len();
            Ok(())
        }
    }

    let limiter = RateLimiter::builder().build().unwrap();
    let mut writer = Writer(&limiter, 0);
    fmt::write(&mut writer, format_args!("{limiter:?}")).unwrap();
    assert!(writer.1 > 100);
}
