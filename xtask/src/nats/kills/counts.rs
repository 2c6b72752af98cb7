//! The numbers of events of a run, and how many a run must have.

use std::fmt;

use anyhow::ensure;

use crate::nats::kills::Settings;

/// The shortest run whose numbers are checked, in seconds. A shorter one may lack some kind.
const CHECKED: u64 = 60;

#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) workers: u32,
    pub(super) owners: u32,
    pub(super) servers: u32,
    pub(super) storages: u32,
    /// The workers and owners that were stopped for a while.
    pub(super) stops: u32,
    /// The kills and the stops of each server.
    pub(super) nodes: Vec<(u32, u32)>,
    /// The kills and the stops of servers that led a stream.
    pub(super) leaders: (u32, u32),
    pub(super) cuts: u32,
    pub(super) rounds: u32,
    pub(super) blocks: usize,
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts { workers, owners, servers, storages, stops, cuts, rounds, blocks, .. } = self;
        writeln!(f, "nats-kills: {workers} workers, {owners} owners and {servers} servers killed")?;
        writeln!(f, "nats-kills: {stops} workers and owners stopped for a while")?;
        for (node, (kills, stops)) in self.nodes.iter().enumerate() {
            writeln!(f, "nats-kills: server {node}: {kills} times killed, {stops} times stopped")?;
        }
        let (killed, stopped) = self.leaders;
        writeln!(f, "nats-kills: leaders of a stream: {killed} killed, {stopped} stopped")?;
        writeln!(f, "nats-kills: {storages} storages removed, {cuts} links cut")?;
        writeln!(f, "nats-kills: {rounds} rounds, {blocks} blocks in order, each once: ok")
    }
}

impl Counts {
    /// Fails if a run of a minute or more has had too few events of a kind.
    pub(super) fn check(&self, settings: &Settings) -> anyhow::Result<()> {
        let seconds = settings.time.as_secs();
        if seconds < CHECKED {
            return Ok(());
        }
        let is_cluster = settings.nodes > 1;
        let least = |of_nodes: fn(&(u32, u32)) -> u32| self.nodes.iter().map(of_nodes).min();
        // The numbers of ten minutes.
        let kinds = [
            ("workers killed", self.workers, 100, true),
            ("owners killed", self.owners, 20, true),
            ("servers killed", self.servers, 10, true),
            ("storages removed", self.storages, 50, settings.loses_storage),
            ("kills of some server", least(|node| node.0).unwrap_or(0), 2, is_cluster),
            ("stops of some server", least(|node| node.1).unwrap_or(0), 2, is_cluster),
            ("leaders killed", self.leaders.0, 5, is_cluster),
            ("leaders stopped", self.leaders.1, 5, is_cluster),
            ("links cut", self.cuts, 50, settings.cuts_network),
        ];
        for (name, count, in_ten_minutes, is_expected) in kinds {
            let expected = in_ten_minutes * seconds / 600;
            ensure!(
                !is_expected || u64::from(count) >= expected,
                "too few {name}: {count}, and {expected} were expected"
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn too_few_events_fail_a_run() {
        let counts = |leaders| Counts {
            workers: 100,
            owners: 20,
            servers: 10,
            nodes: vec![(2, 3), (4, 2), (2, 2)],
            leaders,
            ..Counts::default()
        };
        let settings = |seconds, nodes| Settings {
            time: Duration::from_secs(seconds),
            seed: 1,
            nodes,
            loses_storage: false,
            cuts_network: false,
        };
        counts((5, 5)).check(&settings(600, 3)).unwrap();
        let error = counts((5, 4)).check(&settings(600, 3)).unwrap_err();
        assert_eq!(error.to_string(), "too few leaders stopped: 4, and 5 were expected");
        counts((0, 0)).check(&settings(600, 1)).unwrap();
        assert!(counts((5, 5)).check(&settings(1200, 3)).is_err());
        Counts::default().check(&settings(59, 3)).unwrap();
        for settings in [
            Settings { loses_storage: true, ..settings(600, 1) },
            Settings { cuts_network: true, ..settings(600, 1) },
        ] {
            assert!(counts((5, 5)).check(&settings).is_err(), "{settings:?}");
        }
    }
}
