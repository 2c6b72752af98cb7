//! The reference model of batches at one limiter. It inspects each item in each millisecond.

use super::*;

mod service;

use self::service::Service;

#[derive(Clone, Copy)]
enum Item {
    Fresh,
    Waiting {
        due: u64,
    },
    /// Since this time; also if it has got its hedge.
    Running {
        since: u64,
        was_hedged: bool,
    },
    Over,
}

/// An attempt that runs.
#[derive(Clone, Copy)]
struct Attempt {
    index: usize,
    number: u32,
    is_hedge: bool,
    started: u64,
    until: u64,
    reply: Reply,
    /// The round and the closing of the service.
    dispatch: (u64, u64),
    state: State,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Counts,
    TimedOut,
    Late,
}

/// The reference model of a batch.
struct Reference<'a> {
    /// The number of the batch at the limiter.
    number: usize,
    batch: &'a Batch,
    items: Vec<Item>,
    attempts: Vec<u32>,
    running: Vec<Attempt>,
    hedges: Vec<u32>,
    /// The times of the values.
    times: Vec<u64>,
    started: Vec<Option<u64>>,
    outcome: Outcome,
    /// The number of attempts that a closed service refused.
    refused: Vec<u32>,
    /// The length of all closings before the first attempt.
    closed_before: Vec<u64>,
    /// The length of all closings.
    closed: u64,
    /// The retry budget, in thousandths of a token.
    tokens: u64,
    /// Until when the pace and the throttle keep the batch waiting, if the limiter does.
    paced: Option<(u64, u64)>,
}

impl<'a> Reference<'a> {
    fn new((number, batch): (usize, &'a Batch)) -> Self {
        let count = batch.items.len();
        Reference {
            number,
            batch,
            items: vec![Item::Fresh; count],
            attempts: vec![0; count],
            running: Vec::new(),
            hedges: vec![0; count],
            times: Vec::new(),
            started: vec![None; count],
            refused: vec![0; count],
            closed_before: vec![0; count],
            closed: 0,
            tokens: batch.budget.map_or(0, |(tokens, _)| 1000 * tokens),
            outcome: Outcome { ends: vec![None; count], ..Outcome::default() },
            paced: None,
        }
    }

    fn is_over(&self) -> bool {
        self.items.iter().all(|item| matches!(item, Item::Over))
            && self.running.is_empty()
            && self.outcome.ends.iter().all(Option::is_some)
    }

    fn end(&mut self, index: usize, end: End) {
        self.items[index] = Item::Over;
        self.outcome.ends[index].get_or_insert(end);
    }

    fn cancel(&mut self) {
        for index in 0..self.items.len() {
            self.outcome.ends[index].get_or_insert(End::Cancelled);
            if !matches!(self.items[index], Item::Running { .. }) {
                self.items[index] = Item::Over;
            }
        }
    }

    fn is_overdue(&self, index: usize, time: u64) -> bool {
        let started = self.started[index].expect("it has run");
        self.batch.timeout.is_some_and(|timeout| started + timeout <= time)
    }

    fn end_attempts(&mut self, time: u64, plan: &Plan, service: &mut Service) {
        self.running.sort_by_key(|attempt| (attempt.index, attempt.number));
        while let Some(place) = self.running.iter().position(|attempt| attempt.until == time) {
            let attempt = self.running.remove(place);
            self.end_attempt(attempt, time, plan, service);
        }
    }

    fn end_attempt(&mut self, attempt: Attempt, time: u64, plan: &Plan, service: &mut Service) {
        let Attempt { index, reply, dispatch, state, is_hedge, .. } = attempt;
        let is_overdue = state == State::Counts && self.has_timed_out(&attempt, time);
        if is_overdue || state == State::TimedOut {
            let late = if matches!(reply, Reply::Closed(_)) { reply } else { Reply::Retry(None) };
            service.ended(plan, dispatch, late, time);
            self.outcome.peak_delay = self.outcome.peak_delay.max(service.delay);
        } else {
            service.ended(plan, dispatch, reply, time);
        }
        self.closed = service.closed;
        if is_overdue {
            return self.time_out(attempt, time);
        }
        if state != State::Counts {
            return;
        }
        if let Some((tokens, ratio)) = self.batch.budget {
            self.tokens = match reply {
                Reply::Done => (self.tokens + ratio).min(1000 * tokens),
                Reply::Retry(_) => self.tokens.saturating_sub(1000),
                Reply::Failed | Reply::Closed(_) => self.tokens,
            };
        }
        if reply != Reply::Failed {
            self.outcome.peak_delay = self.outcome.peak_delay.max(service.delay);
            self.outcome.retries += u64::from(matches!(reply, Reply::Retry(_)));
            self.outcome.refused += u64::from(matches!(reply, Reply::Closed(_)));
        }
        let is_result = matches!(reply, Reply::Done | Reply::Failed);
        self.outcome.hedges[if is_result { 1 } else { 2 }] += u64::from(is_hedge);
        if is_result {
            self.give_up_others(index);
        } else if self.runs(index) {
            return;
        }
        if let (Reply::Done, Item::Running { since, .. }) = (reply, self.items[index]) {
            self.times.push(time - since);
        }
        match reply {
            _ if self.is_overdue(index, time) => self.end(index, End::Deadline),
            Reply::Done => self.end(index, End::Done),
            Reply::Failed => self.end(index, End::Failed),
            Reply::Retry(after) => self.retry_or_end(index, time, after),
            Reply::Closed(_) => {
                self.refused[index] += 1;
                self.wait_or_end(index, time, true);
            }
        }
    }

    /// Returns `true` if an attempt at the item counts.
    fn runs(&self, index: usize) -> bool {
        self.running.iter().any(|it| it.index == index && it.state == State::Counts)
    }

    fn give_up_others(&mut self, index: usize) {
        for other in &mut self.running {
            if other.index == index && other.state == State::Counts {
                other.state = State::Late;
                self.outcome.hedges[2] += u64::from(other.is_hedge);
            }
        }
    }

    fn has_timed_out(&self, attempt: &Attempt, time: u64) -> bool {
        self.batch.attempt_timeout.is_some_and(|timeout| attempt.started + timeout <= time)
    }

    /// Notes that an attempt has exceeded its time-out. Retries or ends its item, if that was the
    /// last attempt.
    fn time_out(&mut self, attempt: Attempt, time: u64) {
        let index = attempt.index;
        self.outcome.timed_out += 1;
        self.outcome.hedges[2] += u64::from(attempt.is_hedge);
        self.tokens = self.tokens.saturating_sub(1000);
        if self.runs(index) {
            return;
        }
        if self.is_overdue(index, time) {
            self.end(index, End::Deadline);
        } else {
            self.retry_or_end(index, time, None);
        }
    }

    fn retry_or_end(&mut self, index: usize, time: u64, after: Option<u64>) {
        let attempts = self.attempts[index] - self.hedges[index] - self.refused[index];
        let (first, longest) = self.batch.wait;
        let own = match &self.batch.waits {
            None => Some((first << (attempts - 1)).min(longest)),
            Some(waits) => waits.get(attempts as usize - 1).copied(),
        };
        match own.filter(|_| attempts <= self.batch.retries) {
            None => self.end(index, End::Exhausted),
            Some(own) => self.wait_or_end(index, time + after.unwrap_or(own), false),
        }
    }

    /// Returns the end of the time in which attempts at an item start.
    fn end_of_budget(&self, index: usize) -> u64 {
        self.started[index].expect("it has run") + self.batch.within + self.closed
            - self.closed_before[index]
    }

    fn wait_or_end(&mut self, index: usize, due: u64, is_closed: bool) {
        let is_cancelled = self.outcome.ends[index].is_some();
        let has_tokens = |(tokens, _): (u64, u64)| 2 * self.tokens > 1000 * tokens;
        if due >= self.end_of_budget(index) || is_cancelled {
            self.end(index, End::Time);
        } else if !is_closed && !self.batch.budget.is_none_or(has_tokens) {
            self.end(index, End::Budget);
        } else {
            self.items[index] = Item::Waiting { due };
        }
    }

    fn delivered(&self) -> usize {
        self.outcome.ends.iter().take_while(|end| end.is_some()).count()
    }

    /// Returns the item that could be dispatched if the limiter allowed it, and `true` for a hedge.
    fn candidate(&self, time: u64) -> Option<(usize, bool)> {
        if self.running.len() >= self.batch.concurrency {
            return None;
        }
        if let Some(index) = self.hedged(time) {
            return Some((index, true));
        }
        let is_due = |item: &Item| matches!(item, Item::Waiting { due } if *due <= time);
        let fresh = self.items.iter().position(|item| matches!(item, Item::Fresh));
        let has_space = |&index: &usize| index < self.delivered() + self.batch.window as usize;
        let index = self.items.iter().position(is_due).or(fresh.filter(has_space))?;
        Some((index, false))
    }

    /// Returns the first item without an outcome, if its attempt is to have a hedge now.
    fn hedged(&self, time: u64) -> Option<usize> {
        let head = self.items.iter().position(|item| !matches!(item, Item::Over))?;
        let Item::Running { since, was_hedged: false } = self.items[head] else { return None };
        let at = match self.batch.hedge? {
            HedgePlan::After(delay) => since + delay,
            HedgePlan::AtQuantile(percent, values) => {
                let mut times = self.times.clone();
                times.sort_unstable();
                // The least time that the stated percentage of all does not exceed.
                let reaches = |&&limit: &&u64| {
                    let within = times.iter().filter(|&&time| time <= limit).count();
                    100 * within as u64 >= percent * times.len() as u64
                };
                let limit = times.iter().find(reaches).filter(|_| times.len() >= values)?;
                since + limit + 1
            }
        };
        let started = self.started[head].expect("it runs");
        let is_in_time = at.max(time) < self.end_of_budget(head)
            && self.batch.timeout.is_none_or(|timeout| at.max(time) < started + timeout);
        let has_tokens = self.batch.budget.is_none_or(|(most, _)| 2 * self.tokens > 1000 * most);
        let is_open = self.outcome.ends[head].is_none();
        (at <= time && is_in_time && has_tokens && is_open).then_some(head)
    }

    /// Counts the millisecond that begins now, if the limiter keeps the batch waiting.
    fn count_wait(&mut self, time: u64) {
        if let Some((paced, throttled)) = self.paced {
            let cause = usize::from(time >= paced) + usize::from(time >= throttled);
            self.outcome.waited[cause] += 1;
        }
    }

    fn take_actions(&mut self, time: u64, plan: &Plan, service: &mut Service) {
        (self.paced, self.closed) = (None, service.closed);
        loop {
            // Time-outs come first.
            for place in 0..self.running.len() {
                let attempt = self.running[place];
                if attempt.state == State::Counts && self.has_timed_out(&attempt, time) {
                    self.running[place].state = State::TimedOut;
                    self.time_out(attempt, time);
                }
            }
            // Items whose time is over end before an attempt is dispatched.
            for index in 0..self.items.len() {
                if !matches!(self.items[index], Item::Waiting { .. }) {
                    continue;
                }
                if self.is_overdue(index, time) {
                    self.end(index, End::Deadline);
                } else if self.end_of_budget(index) <= time {
                    self.end(index, End::Time);
                }
            }
            let Some((index, is_hedge)) = self.candidate(time) else {
                return service.leave(self.number);
            };
            if let Some(paced) = service.closed_until(plan, self.number, time) {
                self.paced = Some(paced);
                return;
            }
            service.dispatch(plan, self.number, time);
            if self.started[index].is_none() {
                (self.started[index], self.closed_before[index]) = (Some(time), service.closed);
            }
            let replies = &self.batch.items[index];
            let (takes, reply) = replies[(self.attempts[index] as usize).min(replies.len() - 1)];
            self.attempts[index] += 1;
            self.outcome.attempts += 1;
            self.outcome.dispatched.push((time, index as u64));
            self.items[index] = match self.items[index] {
                Item::Running { since, .. } => Item::Running { since, was_hedged: true },
                _ => Item::Running { since: time, was_hedged: false },
            };
            self.hedges[index] += u32::from(is_hedge);
            self.outcome.hedges[0] += u64::from(is_hedge);
            self.running.push(Attempt {
                index,
                number: self.attempts[index],
                is_hedge,
                started: time,
                until: time + takes,
                reply,
                dispatch: (service.round, service.closing),
                state: State::Counts,
            });
            self.running.sort_by_key(|attempt| (attempt.index, attempt.number));
        }
    }
}

pub(super) fn expected(plan: &Plan) -> Vec<Outcome> {
    let mut service =
        Service { delay: plan.throttle.map_or(0, |aimd| aimd.floor), ..Service::default() };
    let mut batches: Vec<_> = plan.batches.iter().enumerate().map(Reference::new).collect();
    let mut time = 0;
    loop {
        for batch in &mut batches {
            if batch.batch.cancelled == Some(time) && !batch.is_over() {
                batch.cancel();
                service.leave(batch.number);
            }
        }
        batches.iter_mut().for_each(|batch| batch.end_attempts(time, plan, &mut service));
        let count = |all: &[Reference<'_>]| all.iter().map(|one| one.outcome.attempts).sum::<u64>();
        let mut before = None;
        while before != Some(count(&batches)) {
            before = Some(count(&batches));
            batches.iter_mut().for_each(|batch| batch.take_actions(time, plan, &mut service));
        }
        batches.iter_mut().for_each(|batch| batch.take_actions(time, plan, &mut service));
        batches.iter_mut().for_each(|batch| batch.count_wait(time));
        if batches.iter().all(Reference::is_over) {
            return batches.into_iter().map(|batch| batch.outcome).collect();
        }
        time += 1;
    }
}
