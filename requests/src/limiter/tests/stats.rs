//! The statistics of a limiter in virtual time.

use super::*;

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
