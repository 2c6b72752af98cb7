//! A server that bans its clients for a time, and says so.

use super::*;

/// The server takes 20 requests. Then it bans all clients for a second.
#[derive(Default)]
struct Server {
    taken: u32,
    banned_until: u64,
    /// The number of requests during each ban.
    refused: Vec<u32>,
}

impl Server {
    fn reply(&mut self, time: u64) -> Reply {
        if time < self.banned_until {
            *self.refused.last_mut().unwrap() += 1;
            return Reply::Closed(self.banned_until - time);
        }
        self.taken += 1;
        if self.taken == 20 {
            self.taken = 0;
            self.banned_until = time + 1000;
            self.refused.push(0);
        }
        Reply::Done
    }
}

/// Runs 60 items, 8 at once. Returns the time of the last answer, and the server.
fn run_banned(limiter: &RateLimiter, mut takes: impl FnMut() -> u64) -> (u64, Server) {
    let items = vec![vec![(1, Reply::Done)]; 60];
    let mut simulation = Simulation::new(Retry::never(), limiter, 8, 60, items);
    let (mut server, mut time) = (Server::default(), 0);
    loop {
        simulation.end_attempts(time);
        simulation.deliver();
        if simulation.is_over() {
            assert!(simulation.ends.iter().all(|&end| end == Some(End::Done)));
            let stats = simulation.dispatcher.stats(simulation.at(time));
            assert_eq!(stats.refused_as_closed, u64::from(server.refused.iter().sum::<u32>()));
            return (time, server);
        }
        let before = simulation.running.len();
        let next = simulation.take_actions(time);
        let mut next = next.expect("there is a next action");
        for (end, _, _, reply) in simulation.running.iter_mut().skip(before) {
            *end = time + takes();
            *reply = server.reply(time);
            next = next.min(*end);
        }
        time = next;
    }
}

#[test]
fn a_server_that_bans_its_clients_gets_few_requests_meanwhile() {
    for takes in [1, 5, 8] {
        let limiter = RateLimiter::builder().build().unwrap();
        let (time, server) = run_banned(&limiter, || takes);
        assert!((2000..=2200).contains(&time), "{takes}: {time}");
        assert_eq!(server.refused.len(), 3, "the last ban is that after all items");
        let refused: u32 = server.refused.iter().sum();
        assert!(refused <= 8, "{takes}: {:?}", server.refused);
    }
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    for _ in 0..1000 {
        let takes = || 1 + random::draw(&mut state, 8);
        let (time, server) = run_banned(&RateLimiter::builder().build().unwrap(), takes);
        assert!((2000..=2200).contains(&time), "{time}");
        assert!(server.refused.iter().all(|&refused| refused <= 8), "{:?}", server.refused);
    }
}

#[test]
fn a_closing_costs_no_attempt_and_extends_the_budget() {
    let limiter = RateLimiter::builder().build().unwrap().without_jitter();
    let item = |last| vec![vec![(2, Reply::Closed(500)), (3, Reply::Retry(Some(4))), (1, last)]];
    let retry = Retry::new().within(millis(20)).retries(1);
    let mut simulation = Simulation::new(retry.clone(), &limiter, 1, 1, item(Reply::Done));
    simulation.run(10_000);
    assert_eq!(simulation.dispatched, [(0, 0), (502, 0), (509, 0)]);
    assert_eq!(simulation.ends, [Some(End::Done)]);
    let mut simulation = Simulation::new(retry, &limiter, 1, 1, item(Reply::Retry(None)))
        .starting_at(simulation.at(10_000));
    simulation.run(10_000);
    assert_eq!(simulation.dispatched.len(), 3);
    assert_eq!(simulation.ends, [Some(End::Exhausted)], "it had its two attempts");
}

#[test]
fn a_closing_extends_the_budget_of_items_that_wait() {
    let limiter = RateLimiter::builder().build().unwrap().without_jitter();
    let items = vec![
        vec![(1, Reply::Retry(Some(5))), (1, Reply::Done)],
        vec![(3, Reply::Closed(500)), (1, Reply::Retry(Some(40)))],
        vec![(1, Reply::Retry(Some(15))), (1, Reply::Done)],
    ];
    let mut simulation = Simulation::new(patient().within(millis(20)), &limiter, 3, 3, items);
    simulation.run(10_000);
    assert_eq!(simulation.ends, [Some(End::Done), Some(End::Time), Some(End::Done)]);
    // The probes after the closing start one by one.
    assert_eq!(simulation.dispatched[3..], [(503, 0), (504, 1), (504, 2)]);
}

#[test]
fn the_jitter_of_a_closing_uses_up_no_budget() {
    for _ in 0..100 {
        let limiter = RateLimiter::builder().build().unwrap();
        let items = vec![vec![(1, Reply::Closed(100_000)), (1, Reply::Done)]];
        let retry = Retry::new().within(millis(20));
        let mut simulation = Simulation::new(retry, &limiter, 1, 1, items);
        simulation.run(200_000);
        assert_eq!(simulation.ends, [Some(End::Done)]);
    }
}
