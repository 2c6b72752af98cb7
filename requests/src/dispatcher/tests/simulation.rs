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
    pub(super) running: Vec<(u64, AttemptId, Dispatched, Reply)>,
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
        let (hedge, cost) = (None, 1);
        let config = RequestConfig { retry, hedge, limiter: limiter.clone(), cost, concurrency };
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

    pub(super) fn with_hedge(mut self, hedge: Option<Hedge>) -> Simulation {
        self.dispatcher.hedge = hedge.map(HedgeDelay::new);
        self
    }

    pub(super) fn at(&self, time: u64) -> Instant {
        self.zero + millis(time)
    }

    /// Ends the attempts that are over at this time.
    pub(super) fn end_attempts(&mut self, time: u64) {
        self.running.sort_by_key(|&(end, id, ..)| (end, id));
        while self.running.first().is_some_and(|&(end, ..)| end <= time) {
            let (_, id, dispatch, reply) = self.running.remove(0);
            let now = self.at(time);
            let verdict = match reply {
                Reply::Done => Verdict::Value,
                Reply::Failed => Verdict::Failure,
                Reply::Retry(_) | Reply::Closed(_) => Verdict::Open,
            };
            let ended = self.dispatcher.attempt_ended(id, now, verdict, reply.answer());
            let is_overdue = matches!(
                ended,
                Ended::Overdue(_) | Ended::TimedOut | Ended::Beside { is_overdue: true }
            );
            let answer = match reply.answer() {
                Answer::Done | Answer::Failed if is_overdue => Answer::Retry,
                answer => answer,
            };
            let counted = self.dispatcher.take_new_counts();
            let delay = self.limiter.attempt_ended(dispatch, answer, &counted, now);
            if !matches!(ended, Ended::Late) {
                self.dispatcher.note_delay(answer, delay);
            }
            if ended.is_refused() {
                self.dispatcher.refused();
            }
            match ended {
                Ended::Counts(entry, _) => self.end_or_retry(time, entry, reply),
                Ended::Overdue(entry) => self.retry_timed_out(time, entry),
                Ended::Beside { is_overdue: false } => {
                    self.dispatcher.keep_error(id.index, "busy");
                }
                Ended::Beside { is_overdue: true } | Ended::TimedOut | Ended::Late => {}
            }
        }
    }

    fn end_or_retry(&mut self, time: u64, mut entry: TestEntry, reply: Reply) {
        let (counted, after) = (entry.counted(), |after: Option<u64>| after.map(millis));
        let end = match reply {
            _ if self.is_overdue(&entry, time) => End::Deadline,
            Reply::Done => End::Done,
            Reply::Failed => End::Failed,
            Reply::Retry(stated) => {
                entry.note_error("busy");
                let wait = self.retry.wait_after(counted, after(stated), &mut entry.waits);
                return self.retry_later(time, entry, wait);
            }
            Reply::Closed(_) => {
                entry.note_error("busy");
                return self.retry_later(time, entry, RetryWait::Closed);
            }
        };
        self.finish(entry.index, end);
    }

    fn retry_timed_out(&mut self, time: u64, mut entry: TestEntry) {
        if self.is_overdue(&entry, time) {
            return self.finish(entry.index, End::Deadline);
        }
        let wait = self.retry.wait_after(entry.counted(), None, &mut entry.waits);
        self.retry_later(time, entry, wait);
    }

    fn retry_later(&mut self, time: u64, entry: TestEntry, wait: RetryWait) {
        if let Some((entry, why)) = self.dispatcher.retry_later(self.at(time), entry, wait) {
            self.finish(entry.index, End::from(why));
        }
    }

    fn is_overdue(&self, entry: &TestEntry, time: u64) -> bool {
        let started = entry.started.expect("it has run");
        self.timeout.is_some_and(|timeout| started + millis(timeout) <= self.at(time))
    }

    fn finish(&mut self, index: u64, end: End) {
        self.dispatcher.finish(index);
        self.ends[index as usize].get_or_insert(end);
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
                Action::Start(Start { id, dispatch, .. }) => {
                    let replies = &self.items[id.index as usize];
                    let (takes, reply) = replies[(id.number as usize).min(replies.len()) - 1];
                    self.dispatched.push((time, id.index));
                    self.running.push((time + takes, id, dispatch, reply));
                }
                Action::End(entry) => {
                    let is_overdue = self.is_overdue(&entry, time);
                    self.finish(entry.index, if is_overdue { End::Deadline } else { End::Time });
                }
                Action::TimeOut(_, entry) => {
                    entry.into_iter().for_each(|entry| self.retry_timed_out(time, entry));
                }
                Action::Pull(()) => {
                    if (self.dispatcher.state().pulled as usize) < self.items.len() {
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
        self.run_from(0, until)
    }

    pub(super) fn run_from(&mut self, mut time: u64, until: u64) -> u64 {
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
