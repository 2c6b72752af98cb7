//! A batch in virtual time.

use super::*;

/// A dispatcher and the service that it calls. The service runs all attempts at once.
pub(super) struct Simulation {
    pub(super) zero: Instant,
    pub(super) dispatcher: TestDispatcher,
    pub(super) limiter: RateLimiter,
    pub(super) retry: Retry,
    pub(super) items: Vec<Replies>,
    pub(super) timeout: Option<u64>,
    pub(super) delivered: u64,
    /// The attempts that run, each with the time at which it ends.
    pub(super) running: Vec<(u64, TestEntry, Dispatch, Reply)>,
    pub(super) ends: Vec<Option<End>>,
    /// The time of each dispatch, and its item.
    pub(super) dispatched: Vec<(u64, u64)>,
}

impl Simulation {
    pub(super) fn new(
        retry: Retry,
        limiter: &RateLimiter,
        concurrency: usize,
        window: u64,
        items: Vec<Replies>,
    ) -> Simulation {
        let concurrency = std::num::NonZeroUsize::new(concurrency).unwrap().into();
        let (own, limiter) = (retry.clone(), limiter.clone());
        let config = RequestConfig { retry, limiter: limiter.clone(), cost: 1, concurrency };
        Simulation {
            zero: Instant::now(),
            dispatcher: Dispatcher::new((), config, None, window, None),
            limiter,
            retry: own,
            ends: vec![None; items.len()],
            items,
            timeout: None,
            delivered: 0,
            running: Vec::new(),
            dispatched: Vec::new(),
        }
    }

    /// Sets the start of the clock, to share a limiter with an earlier simulation.
    pub(super) fn starting_at(mut self, zero: Instant) -> Simulation {
        self.zero = zero;
        self
    }

    pub(super) fn with_timeout(mut self, timeout: Option<u64>) -> Simulation {
        self.timeout = timeout;
        self.dispatcher.item_timeout = timeout.map(millis);
        self
    }

    pub(super) fn at(&self, time: u64) -> Instant {
        self.zero + millis(time)
    }

    /// Ends the attempts that are over at this time.
    pub(super) fn end_attempts(&mut self, time: u64) {
        self.running.sort_by_key(|&(end, ref entry, ..)| (end, entry.index));
        while self.running.first().is_some_and(|&(end, ..)| end <= time) {
            let (_, mut entry, dispatch, reply) = self.running.remove(0);
            let index = entry.index as usize;
            self.dispatcher.attempt_ended(entry.index);
            let delay = self.limiter.ended(dispatch, reply.answer(), self.at(time));
            self.dispatcher.record(reply.answer(), delay);
            let (start, now) = (entry.started.expect("it has run"), self.at(time));
            let is_overdue = self.timeout.is_some_and(|timeout| start + millis(timeout) <= now);
            let end = match reply {
                _ if is_overdue => End::Deadline,
                Reply::Done => End::Done,
                Reply::Failed => End::Failed,
                Reply::Retry(_) | Reply::Closed(_) => {
                    entry.error = Some("busy");
                    let wait = match reply {
                        Reply::Closed(time) => RetryWait::Closed(millis(time)),
                        Reply::Retry(after) => {
                            let (counted, after) = (entry.counted(), after.map(millis));
                            self.retry.wait_after(counted, after, &mut entry.waits)
                        }
                        Reply::Done | Reply::Failed => unreachable!("it is over"),
                    };
                    match self.dispatcher.retry_later(now, entry, wait) {
                        None => continue,
                        Some((entry, why)) => {
                            assert_eq!(entry.error, Some("busy"), "the last error is kept");
                            End::from(why)
                        }
                    }
                }
            };
            self.dispatcher.finish(index as u64);
            self.ends[index].get_or_insert(end);
        }
    }

    pub(super) fn deliver(&mut self) {
        while matches!(self.ends.get(self.delivered as usize), Some(Some(_))) {
            self.delivered += 1;
        }
    }

    /// Takes all actions of this time. Returns the time of the next one.
    pub(super) fn take_actions(&mut self, time: u64) -> Option<u64> {
        let now = self.at(time);
        while let Some(action) = self.dispatcher.take_action(now, self.delivered) {
            match action {
                Action::Start(entry, dispatch) => {
                    let replies = &self.items[entry.index as usize];
                    let (takes, reply) = replies[(entry.attempts as usize).min(replies.len()) - 1];
                    self.dispatched.push((time, entry.index));
                    self.running.push((time + takes, entry, dispatch, reply));
                }
                Action::End(entry) => {
                    let started = entry.started.expect("an item without an attempt has no end");
                    let is_overdue = self.timeout.is_some_and(|it| started + millis(it) <= now);
                    let end = if is_overdue { End::Deadline } else { End::Time };
                    self.dispatcher.finish(entry.index);
                    self.ends[entry.index as usize].get_or_insert(end);
                }
                Action::Pull(()) => {
                    if (self.dispatcher.counts().0 as usize) < self.items.len() {
                        self.dispatcher.pulled((), now).expect("it is open");
                        assert!(self.dispatcher.give_back(()).is_none());
                    } else {
                        self.dispatcher.source_ended();
                    }
                }
            }
            self.deliver();
        }
        let timer = match self.dispatcher.decide(now, self.delivered) {
            Decision::Rest { at, turn } => {
                let next = at.into_iter().chain(turn).min();
                let nanos = next.map(|next| next.duration_since(self.zero).as_nanos());
                nanos.map(|nanos| nanos.div_ceil(1_000_000) as u64)
            }
            decision => panic!("{decision:?} was not taken"),
        };
        assert!(timer.is_none_or(|at| at > time), "a timer is set for a later time");
        let result = self.running.iter().map(|&(end, ..)| end).min();
        timer.into_iter().chain(result).min()
    }

    pub(super) fn cancel(&mut self, time: u64) {
        let (_, waiting) = self.dispatcher.close(self.at(time));
        assert!(waiting.iter().all(|entry| self.ends[entry.index as usize].is_none()));
        self.ends.iter_mut().for_each(|end| _ = end.get_or_insert(End::Cancelled));
    }

    pub(super) fn is_over(&self) -> bool {
        self.ends.iter().all(Option::is_some) && self.running.is_empty()
    }

    /// Runs from the start to the end, or to the given time. Returns the time of the last action.
    pub(super) fn run(&mut self, until: u64) -> u64 {
        let mut time = 0;
        loop {
            self.end_attempts(time);
            self.deliver();
            match self.take_actions(time) {
                Some(next) if next <= until => time = next,
                _ => return time,
            }
        }
    }
}
