//! Compares simulations of random plans with a reference model, which inspects each item in each
//! millisecond.

use super::*;

/// Returns a random number below `below`, by xorshift64.
fn draw(state: &mut u64, below: u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state % below
}

fn maybe(state: &mut u64, low: u64, below: u64) -> Option<u64> {
    (draw(state, 2) == 0).then(|| low + draw(state, below))
}

/// The settings of a throttle, in milliseconds.
#[derive(Clone, Copy, Debug)]
struct Aimd {
    floor: u64,
    ceiling: u64,
    step: u64,
    multiplier: u64,
}

/// The plan of one batch. Times are in milliseconds.
#[derive(Clone, Debug)]
struct Batch {
    window: u64,
    concurrency: usize,
    within: u64,
    retries: u32,
    wait: (u64, u64),
    timeout: Option<u64>,
    cancelled: Option<u64>,
    items: Vec<Replies>,
}

/// A plan of one or two batches that share a limiter.
#[derive(Clone, Debug)]
struct Plan {
    pace: u64,
    throttle: Option<Aimd>,
    batches: Vec<Batch>,
}

impl Plan {
    fn new(state: &mut u64) -> Plan {
        let floor = draw(state, 4);
        let aimd = Aimd {
            floor,
            ceiling: floor + 1 + draw(state, 20),
            step: 1 + draw(state, 4),
            multiplier: 2 + draw(state, 2),
        };
        Plan {
            pace: draw(state, 6),
            throttle: (draw(state, 2) == 0).then_some(aimd),
            batches: (0..1 + draw(state, 2)).map(|_| Batch::new(state)).collect(),
        }
    }
}

impl Batch {
    fn new(state: &mut u64) -> Batch {
        let reply = |state: &mut u64| match draw(state, 8) {
            0 => Reply::Failed,
            1..4 => Reply::Done,
            4 => Reply::Retry(Some(draw(state, 20))),
            _ => Reply::Retry(None),
        };
        let replies = |state: &mut u64| {
            (0..1 + draw(state, 4)).map(|_| (1 + draw(state, 8), reply(state))).collect()
        };
        Batch {
            window: 1 + draw(state, 8),
            concurrency: 1 + draw(state, 4) as usize,
            within: 1 + draw(state, 60),
            retries: draw(state, 5) as u32,
            wait: (draw(state, 8), draw(state, 16)),
            timeout: maybe(state, 1, 40),
            cancelled: maybe(state, 0, 200),
            items: (0..1 + draw(state, 8)).map(|_| replies(state)).collect(),
        }
    }

    fn retry(&self) -> Retry {
        let (first, longest) = (millis(self.wait.0), millis(self.wait.1));
        Retry::new().within(millis(self.within)).retries(self.retries).wait(first, longest)
    }
}

/// The results of a batch, in the simulation and in the reference.
#[derive(Debug, Default, PartialEq, Eq)]
struct Outcome {
    ends: Vec<Option<End>>,
    dispatched: Vec<(u64, u64)>,
    attempts: u64,
    retries: u64,
    peak_delay: u64,
    waited: (u64, u64),
}

fn simulated(plan: &Plan) -> Vec<Outcome> {
    let throttle = plan.throttle.map(|aimd| {
        Throttle::new(millis(aimd.floor), millis(aimd.ceiling), millis(aimd.step))
            .multiplier(aimd.multiplier as f64)
    });
    let limiter = limiter(plan.pace, throttle);
    let zero = Instant::now();
    let mut simulations: Vec<Simulation> = plan
        .batches
        .iter()
        .map(|batch| {
            let Batch { concurrency, window, timeout, .. } = *batch;
            Simulation::new(batch.retry(), &limiter, concurrency, window, batch.items.clone())
                .with_timeout(timeout)
                .starting_at(zero)
        })
        .collect();
    let mut time = 0;
    loop {
        let mut next = None;
        for (simulation, batch) in simulations.iter_mut().zip(&plan.batches) {
            if batch.cancelled.is_some_and(|at| at == time) && !simulation.is_over() {
                simulation.cancel(time);
            }
        }
        simulations.iter_mut().for_each(|simulation| simulation.end_attempts(time));
        for simulation in &mut simulations {
            simulation.deliver();
            simulation.take_actions(time);
        }
        // Once more: a batch that left the queue of the limiter notifies the others.
        for (simulation, batch) in simulations.iter_mut().zip(&plan.batches) {
            let cancelled = batch.cancelled.filter(|&at| at > time);
            next = next.into_iter().chain(simulation.take_actions(time)).chain(cancelled).min();
        }
        if simulations.iter().all(Simulation::is_over) {
            break;
        }
        time = next.unwrap_or_else(|| panic!("no further action will come: {plan:?}"));
    }
    simulations
        .into_iter()
        .map(|simulation| {
            let stats = simulation.dispatcher.stats(zero);
            let whole_millis = |time: Duration| time.as_millis() as u64;
            Outcome {
                ends: simulation.ends,
                dispatched: simulation.dispatched,
                attempts: stats.attempts,
                retries: stats.capacity_retries,
                peak_delay: whole_millis(stats.peak_delay),
                waited: (
                    whole_millis(stats.waited_for_pace),
                    whole_millis(stats.waited_for_throttle),
                ),
            }
        })
        .collect()
}

#[derive(Clone, Copy)]
enum Item {
    Fresh,
    Waiting { due: u64 },
    Running { until: u64, reply: Reply, round: u64 },
    Over,
}

/// The reference model of a batch.
struct Reference<'a> {
    /// The number of the batch at the limiter.
    number: usize,
    batch: &'a Batch,
    items: Vec<Item>,
    attempts: Vec<u32>,
    started: Vec<Option<u64>>,
    outcome: Outcome,
    /// Until when the pace keeps the batch waiting, if the limiter does.
    paced: Option<u64>,
}

/// The reference model of a limiter.
#[derive(Default)]
struct Service {
    /// When the last dispatch was due, and when it was made.
    last: Option<(u64, u64)>,
    delay: u64,
    shortened: u64,
    round: u64,
    /// The batches that wait, each with the time since which it does.
    queue: Vec<(usize, u64)>,
}

impl Service {
    /// Returns when the pace allows a batch the next dispatch, if it may not dispatch now.
    fn closed_until(&mut self, plan: &Plan, batch: usize, time: u64) -> Option<u64> {
        let interval = plan.pace.max(self.delay);
        let (due, _) = self.last.filter(|_| interval > 0)?;
        // In virtual time, the first batch is never late for its turn.
        let is_first = self.queue.first().is_none_or(|&(first, _)| first == batch);
        if is_first && due + interval <= time {
            return None;
        }
        if !self.queue.iter().any(|&(other, _)| other == batch) {
            self.queue.push((batch, time));
        }
        let place = self.queue.iter().position(|&(other, _)| other == batch).unwrap() as u64;
        Some(due + plan.pace * (place + 1))
    }

    fn dispatch(&mut self, plan: &Plan, batch: usize, time: u64) {
        let interval = plan.pace.max(self.delay);
        let due = match self.last.filter(|_| interval > 0) {
            None => time,
            Some((due, at)) if time <= at + interval => due + interval,
            Some((due, _)) => {
                let since = self.queue.iter().map(|&(_, since)| since).min();
                (due + interval).max(since.unwrap_or(time))
            }
        };
        let due = due.max(time.saturating_sub(15 * interval)).max(self.shortened);
        self.last = Some((due, time));
        self.leave(batch);
    }

    fn leave(&mut self, batch: usize) {
        self.queue.retain(|&(other, _)| other != batch);
    }

    fn record(&mut self, plan: &Plan, round: u64, had_capacity: bool, time: u64) {
        let Some(aimd) = plan.throttle.filter(|_| round == self.round) else { return };
        if had_capacity {
            let shorter = self.delay.saturating_sub(aimd.step).max(aimd.floor);
            if shorter < self.delay {
                self.shortened = time;
            }
            self.delay = shorter;
        } else {
            let longer = (self.delay * aimd.multiplier).max(self.delay + aimd.step);
            self.delay = longer.min(aimd.ceiling);
            self.round += 1;
            self.last = self.last.map(|(_, at)| (at, at));
        }
    }
}

impl<'a> Reference<'a> {
    fn new((number, batch): (usize, &'a Batch)) -> Self {
        let count = batch.items.len();
        Reference {
            number,
            batch,
            items: vec![Item::Fresh; count],
            attempts: vec![0; count],
            started: vec![None; count],
            outcome: Outcome { ends: vec![None; count], ..Outcome::default() },
            paced: None,
        }
    }

    fn is_over(&self) -> bool {
        self.items.iter().all(|item| matches!(item, Item::Over))
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
        for index in 0..self.items.len() {
            let Item::Running { until, reply, round } = self.items[index] else { continue };
            if until != time {
                continue;
            }
            if reply != Reply::Failed {
                service.record(plan, round, reply == Reply::Done, time);
                self.outcome.peak_delay = self.outcome.peak_delay.max(service.delay);
                self.outcome.retries += u64::from(reply != Reply::Done);
            }
            match reply {
                _ if self.is_overdue(index, time) => self.end(index, End::Deadline),
                Reply::Done => self.end(index, End::Done),
                Reply::Failed => self.end(index, End::Failed),
                Reply::Retry(after) => self.retry_or_end(index, time, after),
            }
        }
    }

    fn retry_or_end(&mut self, index: usize, time: u64, after: Option<u64>) {
        let attempts = self.attempts[index];
        let (first, longest) = self.batch.wait;
        let own = (first << (attempts - 1)).min(longest);
        let due = time + after.unwrap_or(own);
        let end = self.started[index].expect("it has run") + self.batch.within;
        let is_cancelled = self.outcome.ends[index].is_some();
        if attempts > self.batch.retries || due >= end || is_cancelled {
            self.end(index, End::Exhausted);
        } else {
            self.items[index] = Item::Waiting { due };
        }
    }

    fn delivered(&self) -> usize {
        self.outcome.ends.iter().take_while(|end| end.is_some()).count()
    }

    /// Returns the item that could be dispatched if the limiter allowed it.
    fn candidate(&self, time: u64) -> Option<usize> {
        let running = |item: &&Item| matches!(item, Item::Running { .. });
        if self.items.iter().filter(running).count() >= self.batch.concurrency {
            return None;
        }
        let is_due = |item: &Item| matches!(item, Item::Waiting { due } if *due <= time);
        let fresh = self.items.iter().position(|item| matches!(item, Item::Fresh));
        let has_space = |&index: &usize| index < self.delivered() + self.batch.window as usize;
        self.items.iter().position(is_due).or(fresh.filter(has_space))
    }

    /// Counts the millisecond that begins now, if the limiter keeps the batch waiting.
    fn count_wait(&mut self, time: u64) {
        if let Some(paced) = self.paced {
            let waited = &mut self.outcome.waited;
            *(if time < paced { &mut waited.0 } else { &mut waited.1 }) += 1;
        }
    }

    fn take_actions(&mut self, time: u64, plan: &Plan, service: &mut Service) {
        self.paced = None;
        loop {
            // Items whose time is over end before an attempt is dispatched.
            for index in 0..self.items.len() {
                if !matches!(self.items[index], Item::Waiting { .. }) {
                    continue;
                }
                let started = self.started[index].expect("it has run");
                if self.is_overdue(index, time) {
                    self.end(index, End::Deadline);
                } else if started + self.batch.within <= time {
                    self.end(index, End::Exhausted);
                }
            }
            let Some(index) = self.candidate(time) else { return service.leave(self.number) };
            if let Some(paced) = service.closed_until(plan, self.number, time) {
                self.paced = Some(paced);
                return;
            }
            service.dispatch(plan, self.number, time);
            self.started[index].get_or_insert(time);
            let replies = &self.batch.items[index];
            let (takes, reply) = replies[(self.attempts[index] as usize).min(replies.len() - 1)];
            self.attempts[index] += 1;
            self.outcome.attempts += 1;
            self.outcome.dispatched.push((time, index as u64));
            self.items[index] = Item::Running { until: time + takes, reply, round: service.round };
        }
    }
}

fn expected(plan: &Plan) -> Vec<Outcome> {
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
        for _ in 0..2 {
            batches.iter_mut().for_each(|batch| batch.take_actions(time, plan, &mut service));
        }
        batches.iter_mut().for_each(|batch| batch.count_wait(time));
        if batches.iter().all(Reference::is_over) {
            return batches.into_iter().map(|batch| batch.outcome).collect();
        }
        time += 1;
    }
}

#[test]
fn random_simulations_match_the_reference() {
    let mut state = 0x9E37_79B9_7F4A_7C15;
    let mut ends = [0_u32; 5];
    let (mut paced, mut throttled) = (0, 0);
    for _ in 0..100_000 {
        let plan = Plan::new(&mut state);
        let outcomes = simulated(&plan);
        assert_eq!(outcomes, expected(&plan), "{plan:?}");
        for outcome in outcomes {
            paced += outcome.waited.0;
            throttled += outcome.waited.1;
            outcome.ends.into_iter().flatten().for_each(|end| ends[end as usize] += 1);
        }
    }
    assert!(ends.iter().all(|&count| count > 10_000), "{ends:?}");
    assert!(paced > 100_000 && throttled > 100_000, "{paced} {throttled}");
}
