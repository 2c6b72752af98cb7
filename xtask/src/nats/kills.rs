//! Kills and stops workers, owners and servers at random, while files are compressed.
//!
//! | form | what happens besides kills and stops of workers, owners and servers |
//! |---|---|
//! | by default | nothing |
//! | `--lose-storage` | the server loses its storage with each kill |
//! | `--nodes 3` | three servers keep replicas; each of them, and the leader, is stopped and killed |
//! | `--cut-network` | each process is in a network namespace, and links are cut |
//!
//! | module | contains |
//! |---|---|
//! | `rounds` | the rounds, their processes, and the check of the outputs |
//! | `events` | the kills, the stops and the cuts |
//! | `report` | the state of all processes, after a run has failed |
//! | `counts` | the numbers of events, and how many a run must have |

mod counts;
mod events;
mod report;
mod rounds;

use std::time::{Duration, SystemTime};

use anyhow::{Context as _, bail, ensure};

use crate::build;
use crate::nats::{network, servers};
use rounds::Kills;

#[derive(Clone, Copy, Debug)]
struct Settings {
    time: Duration,
    seed: u64,
    nodes: usize,
    loses_storage: bool,
    cuts_network: bool,
}

/// Runs rounds for a time, and prints the numbers.
pub(crate) fn run(arguments: &[String]) -> anyhow::Result<()> {
    let settings = Settings::read(arguments)?;
    if servers::program().is_none() {
        println!("skipped: nats-kills: nats-server is not installed");
        return Ok(());
    }
    if settings.cuts_network {
        if let Some(reason) = network::enter()? {
            println!("skipped: nats-kills: network namespaces: {reason}");
            return Ok(());
        }
    }
    let mut cargo = build::cargo();
    cargo.args(["build", "-q", "-p", "reorder-remote", "--features", "nats"]);
    let built = cargo.args(["--example", "remote_gzip"]).status().context("cargo")?;
    ensure!(built.success(), "the example does not build");

    let Settings { time, seed, nodes, loses_storage, cuts_network } = settings;
    let storage = if loses_storage { ", which lose their storage" } else { "" };
    let cuts = if cuts_network { ", links between namespaces are cut" } else { "" };
    println!("nats-kills: seed {seed}, {} s, {nodes} servers{storage}{cuts}", time.as_secs());
    let counts = Kills::new(&settings)?.run(time)?;
    print!("{counts}");
    counts.check(&settings)
}

impl Settings {
    fn read(arguments: &[String]) -> anyhow::Result<Settings> {
        let mut settings = Settings {
            time: Duration::from_secs(60),
            seed: SystemTime::UNIX_EPOCH.elapsed()?.subsec_nanos().into(),
            nodes: 1,
            loses_storage: false,
            cuts_network: false,
        };
        let mut arguments = arguments.iter().map(String::as_str);
        while let Some(argument) = arguments.next() {
            let mut number = || -> anyhow::Result<u64> {
                Ok(arguments
                    .next()
                    .with_context(|| format!("{argument} needs a number"))?
                    .parse()?)
            };
            match argument {
                "--seconds" => settings.time = Duration::from_secs(number()?),
                "--seed" => settings.seed = number()?,
                "--nodes" => settings.nodes = number()?.clamp(1, 5) as usize,
                "--lose-storage" => settings.loses_storage = true,
                "--cut-network" => settings.cuts_network = true,
                _ => bail!(
                    "usage: cargo xtask nats-kills [--seconds N] [--seed N] [--nodes N | \
                     --lose-storage] [--cut-network]"
                ),
            }
        }
        // Replicas cannot replace a node that has lost what it had promised.
        ensure!(settings.nodes == 1 || !settings.loses_storage, "only one node loses its storage");
        Ok(settings)
    }
}

/// Random numbers by xorshift.
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Random {
        Random(seed | 1)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % limit
    }

    /// Returns a time between two limits, in milliseconds.
    fn between(&mut self, shortest: u64, longest: u64) -> Duration {
        Duration::from_millis(shortest + self.below(longest - shortest))
    }
}
