//! Compares several quotas in virtual time with a reference that looks at every millisecond.

use super::*;

fn draw(random: &mut fastrand::Rng, most: u64) -> u64 {
    random.u64(1..=most)
}

fn count(n: u64) -> NonZeroU32 {
    NonZeroU32::new(n as u32).unwrap()
}

/// A quota of `amount` per `period` milliseconds.
#[derive(Clone, Copy, Debug)]
struct Setting {
    amount: u64,
    period: u64,
    burst: u64,
    is_of_cost: bool,
}

#[derive(Clone, Debug)]
struct Settings {
    quotas: Vec<Setting>,
    in_flight: u64,
}

impl Settings {
    fn new(random: &mut fastrand::Rng, kinds: &[bool]) -> Settings {
        let quota = |&is_of_cost: &bool| {
            let (amount, period) = (draw(random, 9), draw(random, 60));
            Setting { amount, period, burst: draw(random, 9), is_of_cost }
        };
        Settings { quotas: kinds.iter().map(quota).collect(), in_flight: draw(random, 6) }
    }

    fn builder(&self) -> RateLimiterBuilder {
        let builder = RateLimiter::builder().max_in_flight(count(self.in_flight));
        self.quotas.iter().fold(builder, |builder, it| {
            let quota = Quota::new(count(it.amount), it.period as u32 * MS).unwrap();
            let quota = quota.allow_burst(count(it.burst));
            if it.is_of_cost { builder.cost_quota(quota) } else { builder.quota(quota) }
        })
    }
}

/// An attempt that is ready from `from` on, takes `takes` milliseconds, and then tells its cost.
#[derive(Clone, Copy, Debug)]
struct Item {
    from: u64,
    cost: u64,
    takes: u64,
    actual: u64,
}

#[derive(Debug)]
struct Plan {
    settings: Settings,
    changed: (u64, Settings),
    items: Vec<Item>,
}

impl Plan {
    fn new(random: &mut fastrand::Rng) -> Plan {
        let kinds: Vec<bool> = (0..draw(random, 3)).map(|_| random.bool()).collect();
        let mut from = 0;
        let item = |_| {
            from += random.u64(0..12);
            let (cost, takes) = (draw(random, 12), draw(random, 20));
            Item { from, cost, takes, actual: random.u64(0..15) }
        };
        let items = (0..12).map(item).collect();
        let settings = Settings::new(random, &kinds);
        Plan { settings, changed: (draw(random, 150), Settings::new(random, &kinds)), items }
    }
}

/// Returns the times of the dispatches. It looks only when something has changed.
fn simulated(plan: &Plan) -> Vec<u64> {
    let random = fastrand::Rng::with_seed(0);
    let limiter = RateLimiter::with(plan.settings.builder(), random);
    // The buckets are full at the start.
    let start = now() + MS;
    let (mut turn, mut time, mut dispatched) = (limiter.turn(None), 0, Vec::new());
    let mut running: Vec<(u64, Item, Dispatched)> = Vec::new();
    loop {
        let at = start + time as u32 * MS;
        running.retain(|&(end, item, dispatch)| {
            if end == time {
                limiter.ended(dispatch, Answer::Done, at);
                let mut state = lock(&limiter.0.state);
                let correct = |it: &mut Bucket| it.correct(item.cost, item.actual, at);
                state.buckets.iter_mut().for_each(correct);
            }
            end > time
        });
        if plan.changed.0 == time {
            limiter.change(plan.changed.1.builder(), at);
        }
        let mut next = running.iter().map(|&(end, ..)| end).min();
        while let Some(&item) = plan.items.get(dispatched.len()) {
            if item.from > time {
                next = next.into_iter().chain([item.from]).min();
                break;
            }
            turn.cost = item.cost;
            match turn.dispatch(at) {
                Ok(dispatch) => {
                    dispatched.push(time);
                    running.push((time + item.takes, item, dispatch));
                    next = next.into_iter().chain([time + item.takes]).min();
                }
                Err(closed) => {
                    let wait = (closed.open - start).as_nanos().div_ceil(1_000_000) as u64;
                    let held = limiter.latest(&lock(&limiter.0.state), item.cost).unwrap();
                    assert_eq!(held.earliest.is_none(), held.limit == Limit::InFlight);
                    next = next.into_iter().chain([wait]).min();
                    break;
                }
            }
        }
        if dispatched.len() == plan.items.len() {
            return dispatched;
        }
        let change = Some(plan.changed.0).filter(|&change| change > time);
        time = next.into_iter().chain(change).min().expect("there is a next event");
    }
}

/// Returns the times of the dispatches, from a look at every millisecond.
fn expected(plan: &Plan) -> Vec<u64> {
    let mut settings = plan.settings.clone();
    // In tokens times milliseconds of the period.
    let full = |it: &Setting| (it.burst * it.period) as i64;
    let mut levels: Vec<i64> = settings.quotas.iter().map(full).collect();
    let (mut dispatched, mut running) = (Vec::new(), Vec::<(u64, Item)>::new());
    for time in 0.. {
        if time > 0 {
            for (level, it) in levels.iter_mut().zip(&settings.quotas) {
                *level = (*level + it.amount as i64).min(full(it));
            }
        }
        let ended = |&(end, _): &(u64, Item)| end == time;
        let ends: Vec<_> = running.iter().copied().filter(ended).collect();
        running.retain(|it| !ended(it));
        for (_, item) in ends {
            for (level, it) in levels.iter_mut().zip(&settings.quotas).filter(|it| it.1.is_of_cost)
            {
                let back = (item.cost as i64 - item.actual as i64) * it.period as i64;
                *level = (*level + back).min(full(it));
            }
        }
        if plan.changed.0 == time {
            for ((level, old), new) in
                levels.iter_mut().zip(&settings.quotas).zip(&plan.changed.1.quotas)
            {
                let spent = (full(old) - *level) as u64;
                *level = full(new) - (spent * new.period).div_ceil(old.period) as i64;
            }
            settings = plan.changed.1.clone();
        }
        while let Some(&item) = plan.items.get(dispatched.len()).filter(|item| item.from <= time) {
            let price = |it: &Setting| if it.is_of_cost { item.cost } else { 1 };
            let mut open = levels.iter().zip(&settings.quotas);
            let is_open = running.len() < settings.in_flight as usize
                && open.all(|(&level, it)| level >= (price(it).min(it.burst) * it.period) as i64);
            if !is_open {
                break;
            }
            for (level, it) in levels.iter_mut().zip(&settings.quotas) {
                *level -= (price(it) * it.period) as i64;
            }
            dispatched.push(time);
            running.push((time + item.takes, item));
        }
        if dispatched.len() == plan.items.len() {
            break;
        }
    }
    dispatched
}

/// `REORDER_RANDOM_RUNS` is the number of runs.
#[test]
fn quotas_match_a_reference_that_looks_at_every_millisecond() {
    let runs = std::env::var("REORDER_RANDOM_RUNS").ok();
    let runs = runs.map_or(4000, |runs| runs.parse().expect("it is a number"));
    let mut random = fastrand::Rng::with_seed(16);
    for _ in 0..runs {
        let plan = Plan::new(&mut random);
        assert_eq!(simulated(&plan), expected(&plan), "{plan:?}");
    }
}

#[test]
fn the_limiter_names_the_limit_that_opens_last() {
    let hourly = Quota::per_hour(count(2));
    let tokens = Quota::per_hour(count(60));
    let settings = RateLimiter::builder().quota(hourly).cost_quota(tokens);
    let limiter = settings.max_in_flight(count(3)).build().unwrap();
    assert_eq!(limiter.not_until(60), None);
    let (start, mut turn) = (now(), limiter.turn(None));
    let first = turn.dispatch(start).unwrap();
    let held = limiter.not_until(60).unwrap();
    assert_eq!(held.limit, Limit::CostQuota(tokens));
    let wait = held.earliest.unwrap() - start;
    assert!((59_000 * MS..=61_000 * MS).contains(&wait), "one token comes back in a minute");
    let _second = turn.dispatch(start).unwrap();
    assert_eq!(limiter.not_until(1).unwrap().limit, Limit::Quota(hourly));
    // Another number of attempts in flight, and no quota.
    limiter.reconfigure(RateLimiter::builder().max_in_flight(count(2))).unwrap();
    assert_eq!(limiter.not_until(1), Some(NotUntil { limit: Limit::InFlight, earliest: None }));
    limiter.ended(first, Answer::Done, start);
    assert_eq!(limiter.not_until(1), None);
    limiter.close_until(now() + 3_600_000 * MS);
    assert_eq!(limiter.not_until(1).unwrap().limit, Limit::Closed);
    // One of one attempt is in flight. The closing is known to last for longer.
    limiter.reconfigure(RateLimiter::builder().max_in_flight(count(1))).unwrap();
    let held = limiter.not_until(1).unwrap();
    assert!(held.limit == Limit::Closed && held.earliest > Some(now() + 3_000_000 * MS));
}

#[test]
fn other_settings_give_no_token_back() {
    let quota = Quota::new(count(10), 1000 * MS).unwrap();
    let settings = RateLimiter::builder().quota(quota);
    let (start, limiter) = (now() + MS, settings.clone().build().unwrap());
    let (mut turn, mut made) = (limiter.turn(None), 0);
    for time in (0..10_000).map(|time| start + time * MS) {
        limiter.change(settings.clone(), time);
        made += dispatches(&mut turn, time);
    }
    assert!((109..=110).contains(&made), "{made}");
}

#[test]
fn costs_at_the_limits_of_their_type_overflow_nothing() {
    let vast = Quota::new(count(1), Duration::from_nanos(u64::MAX)).unwrap();
    for quota in [vast, Quota::new(count(u64::from(u32::MAX)), Duration::from_nanos(1)).unwrap()] {
        let limiter = RateLimiter::builder().cost_quota(quota).build().unwrap();
        let mut turn = limiter.turn(None).with_cost(u64::MAX);
        assert!(turn.dispatch(now() + MS).is_ok());
        (0..3).for_each(|_| limiter.correct_cost(0, u64::MAX));
        for cost in [1, u64::MAX] {
            assert_eq!(limiter.not_until(cost).unwrap().limit, Limit::CostQuota(quota));
        }
        limiter.reconfigure(limiter.settings()).unwrap();
        (0..5).for_each(|_| limiter.correct_cost(u64::MAX, 0));
        assert_eq!(limiter.not_until(u64::MAX), None);
    }
}
