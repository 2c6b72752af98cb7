//! The statistics of a limiter in virtual time.

use super::*;
use crate::stats::RequestStats;

const MS: Duration = Duration::from_millis(1);

#[test]
fn each_attempt_counts_once_by_its_answer() {
    let limiter = RateLimiter::builder().build().unwrap();
    let start = now();
    let answers =
        [Answer::Done, Answer::Done, Answer::Failed, Answer::Retry, Answer::None, Answer::None];
    let mut turn = limiter.turn(None);
    assert_eq!(limiter.stats(), LimiterStats::default());
    for (n, &answer) in (0..).zip(&answers) {
        let dispatch = turn.dispatch(start + MS * n).unwrap();
        assert_eq!(limiter.stats().in_flight, 1);
        limiter.ended(dispatch, answer, start + MS * n);
    }
    let closed = turn.dispatch(start + MS * 10).unwrap();
    let open = turn.dispatch(start + MS * 10).unwrap();
    limiter.ended(closed, Answer::Closed(MS * 50), start + MS * 10);
    limiter.close_at(start + MS * 90, start + MS * 20);
    let stats = limiter.stats();
    assert_eq!((stats.attempts, stats.in_flight), (8, 1));
    let by_answer = [stats.done, stats.failed, stats.capacity_retries, stats.unanswered];
    assert_eq!((by_answer, stats.refused_as_closed), ([2, 1, 1, 2], 1));
    assert_eq!(stats.closings, 1, "the second only made it longer");
    limiter.ended(open, Answer::Done, start + MS * 30);
    assert_eq!((limiter.stats().done, limiter.stats().in_flight), (3, 0));
}

#[test]
fn the_rate_is_that_between_the_first_and_the_last_attempt() {
    let limiter = RateLimiter::builder().build().unwrap();
    let start = now();
    let mut turn = limiter.turn(None);
    let rate = || limiter.stats().rate();
    assert_eq!(rate(), None);
    _ = turn.dispatch(start).unwrap();
    assert_eq!(rate(), None, "one attempt has no rate");
    _ = turn.dispatch(start).unwrap();
    assert_eq!(rate(), None, "nor have two at the same instant");
    _ = turn.dispatch(start + MS * 500).unwrap();
    assert_eq!(rate(), Some(4.0));
    // A thread that is late may dispatch at an earlier instant.
    _ = turn.dispatch(start + MS * 250).unwrap();
    assert_eq!(rate(), Some(6.0));
}

#[test]
fn batches_that_wait_are_counted_until_they_leave() {
    let pace = Duration::from_secs(1);
    let limiter = RateLimiter::builder().pace(pace).build().unwrap();
    let start = now();
    let mut turns = [(); 3].map(|()| limiter.turn(None));
    _ = turns[0].dispatch(start).unwrap();
    for turn in &mut turns {
        turn.dispatch(start).unwrap_err();
    }
    assert_eq!(limiter.stats().waiting_batches, 3);
    _ = turns[0].dispatch(start + pace).unwrap();
    assert_eq!(limiter.stats().waiting_batches, 2);
    drop(turns);
    assert_eq!(limiter.stats().waiting_batches, 0);
}

/// The pace never keeps anything here.
#[test]
fn a_wait_counts_for_the_limit_that_opens_last() {
    let start = now();
    let limit = |settings: RateLimiterBuilder, before: fn(&RateLimiter)| {
        let limiter = settings.build().unwrap();
        let mut turns = [(); 2].map(|()| limiter.turn(None));
        _ = turns[0].dispatch(start).unwrap();
        before(&limiter);
        turns.each_mut().map(|turn| turn.dispatch(start).unwrap_err().limit)
    };
    let one = NonZeroU32::MIN;
    let quota = Quota::per_hour(one);
    let settings = RateLimiter::builder;
    assert_eq!(limit(settings().quota(quota), |_| {}), [Limit::Quota(quota); 2]);
    assert_eq!(limit(settings().cost_quota(quota), |_| {}), [Limit::CostQuota(quota); 2]);
    assert_eq!(limit(settings().max_in_flight(one), |_| {}), [Limit::InFlight; 2]);
    let close = |limiter: &RateLimiter| limiter.close_until(now() + 1000 * MS);
    assert_eq!(limit(settings().max_in_flight(one), close), [Limit::Closed; 2]);
    let none_left = |limiter: &RateLimiter| limiter.set_remaining(0, now() + 1000 * MS);
    assert_eq!(limit(settings(), none_left), [Limit::Remaining; 2]);
}

#[test]
fn a_wait_is_for_the_pace_first_and_for_the_service_last() {
    let zero = Instant::now();
    let at = |millis| zero + Duration::from_millis(millis);
    let waits = |since, until| {
        let mut stats = RequestStats::default();
        let (paced, throttled, open) = (at(20), at(50), at(57));
        let closed = Closed { paced, throttled, open, limit: Limit::Closed };
        closed.add_wait(&mut stats, at(since), at(until));
        [stats.waited_for_pace, stats.waited_for_throttle, stats.waited_for_closing]
            .map(|wait| wait.as_millis())
    };
    assert_eq!(waits(10, 60), [10, 30, 7], "what comes after it opens is no wait");
    assert_eq!(waits(10, 15), [5, 0, 0]);
    assert_eq!(waits(30, 45), [0, 15, 0]);
    assert_eq!(waits(55, 60), [0, 0, 2]);
    assert_eq!(waits(58, 60), [0, 0, 0]);
}

#[test]
fn each_limit_has_a_wait_of_its_own() {
    let zero = Instant::now();
    let quota = Quota::per_second(NonZeroU32::MIN);
    let waits = |limit| {
        let mut stats = RequestStats::default();
        let open = zero + 7 * MS;
        let closed = Closed { paced: zero, throttled: zero, open, limit };
        closed.add_wait(&mut stats, zero, open);
        [stats.waited_for_quota, stats.waited_for_closing, stats.waited_for_in_flight]
            .map(|wait| wait.as_millis())
    };
    assert_eq!(waits(Limit::Quota(quota)), [7, 0, 0]);
    assert_eq!(waits(Limit::CostQuota(quota)), [7, 0, 0]);
    assert_eq!(waits(Limit::Closed), [0, 7, 0]);
    assert_eq!(waits(Limit::Remaining), [0, 7, 0]);
    assert_eq!(waits(Limit::InFlight), [0, 0, 7]);
}
