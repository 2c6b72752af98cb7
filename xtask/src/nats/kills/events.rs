//! The kills, the stops and the cuts.

use std::mem;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};

use crate::nats::api;
use crate::nats::kills::rounds::{Kills, WORKERS};
use crate::nats::servers::node_name;

/// The time that a server gets to start, before it is killed or stopped again.
const START: Duration = Duration::from_secs(1);
/// The time that a cluster gets to replace a node, before another node is killed or stopped.
const RECOVERY: Duration = Duration::from_secs(5);
/// The streams of a job. Each has a leader of its own.
pub(super) const STREAMS: [&str; 3] =
    ["reorder_remote_gzip_tasks", "reorder_remote_gzip_results", "KV_reorder_remote_gzip"];

/// The servers that are disturbed, and the links that are down.
pub(super) struct Disturbed {
    /// The next server is killed or stopped at this instant.
    next: Instant,
    /// The number of servers of a cluster that were killed or stopped.
    turn: usize,
    /// The server that is stopped, and the end of the stop.
    stopped: Option<(usize, Instant)>,
    /// The members of the network whose link is down, and the end of each cut.
    cuts: Vec<(usize, Instant)>,
}

impl Disturbed {
    pub(super) fn new(nodes: usize) -> Disturbed {
        let next = Instant::now() + recovery(nodes);
        Disturbed { next, turn: 0, stopped: None, cuts: Vec::new() }
    }
}

#[derive(Clone, Copy)]
enum Event {
    Kill,
    /// Stops a server for this time at most.
    Stop(Duration),
}

impl Kills {
    /// Lets one thing happen.
    pub(super) fn event(&mut self, inputs: &[PathBuf]) -> anyhow::Result<()> {
        let worker = self.random.below(WORKERS as u64) as usize;
        let kinds = if self.network.is_some() { 26 } else { 20 };
        match self.random.below(kinds) {
            0..10 => {
                self.workers[worker] = self.start_worker(worker)?;
                self.counts.workers += 1;
                Ok(())
            }
            10..13 => {
                // The older owner must end first, as the sink has no guard against two processes.
                self.owner = None;
                self.owner = Some(self.start_owner(inputs, true)?);
                self.counts.owners += 1;
                Ok(())
            }
            13 => self.pause(Some(worker)),
            14 => self.pause(None),
            15..20 => self.disturb_server(),
            _ => self.cut(),
        }
    }

    /// Stops a worker, or the owner, for up to 3 seconds. The lease of an owner is 2 seconds.
    fn pause(&mut self, worker: Option<usize>) -> anyhow::Result<()> {
        let process = worker.map_or(self.owner.as_ref(), |index| self.workers.get(index));
        let process = process.context("no process")?;
        let time = self.random.between(0, 3000);
        self.logs.note(process.name(), &format!("stopped for {time:?}"))?;
        signal("STOP", process.id())?;
        thread::sleep(time);
        signal("CONT", process.id())?;
        self.counts.stops += 1;
        Ok(())
    }

    /// Kills or stops a server, if the last one has recovered.
    fn disturb_server(&mut self) -> anyhow::Result<()> {
        if self.disturbed.stopped.is_some() || Instant::now() < self.disturbed.next {
            return Ok(());
        }
        let nodes = self.replicas;
        if nodes == 1 {
            let event = match self.random.below(5) {
                0..2 if !self.loses_storage => Event::Stop(Duration::from_secs(3)),
                _ => Event::Kill,
            };
            return self.disturb(0, event);
        }
        // The others elect another leader after 4 to 9 seconds.
        let long = Event::Stop(Duration::from_secs(15));
        let short = Event::Stop(Duration::from_secs(6));
        let (event, of_leader) =
            [(Event::Kill, true), (short, false), (long, true), (Event::Kill, false)]
                [self.disturbed.turn % 4];
        let node = match of_leader {
            false => self.disturbed.turn / 4 % nodes,
            true => match self.leader() {
                Some(leader) => leader,
                // An election is under way, or no stream exists yet. Another event looks again.
                None => return Ok(()),
            },
        };
        self.disturbed.turn += 1;
        if of_leader {
            let (killed, stopped) = &mut self.counts.leaders;
            *(if matches!(event, Event::Kill) { killed } else { stopped }) += 1;
        }
        self.disturb(node, event)
    }

    /// Returns the server that leads one of the streams.
    fn leader(&mut self) -> Option<usize> {
        let stream = STREAMS[self.random.below(STREAMS.len() as u64) as usize];
        let name = api::leader(&self.servers.addresses(), stream)?;
        self.servers.index_of(&name)
    }

    fn disturb(&mut self, node: usize, event: Event) -> anyhow::Result<()> {
        match event {
            Event::Kill => {
                self.servers.logs.note(&node_name(node), "killed, and started again")?;
                self.servers.restart(node, self.loses_storage)?;
                self.counts.servers += 1;
                self.counts.nodes[node].0 += 1;
                self.counts.storages += u32::from(self.loses_storage);
                self.disturbed.next = Instant::now() + recovery(self.replicas);
            }
            Event::Stop(longest) => {
                signal("STOP", self.servers.process(node).context("a node does not run")?)?;
                let longest = longest.as_millis() as u64;
                let time = self.random.between(longest / 3, longest);
                self.servers.logs.note(&node_name(node), &format!("stopped for {time:?}"))?;
                self.disturbed.stopped = Some((node, Instant::now() + time));
                self.counts.nodes[node].1 += 1;
            }
        }
        Ok(())
    }

    /// Cuts the link of a process for a while. After 4 seconds without an answer, a client connects
    /// again.
    fn cut(&mut self) -> anyhow::Result<()> {
        let Some(network) = &self.network else { return Ok(()) };
        let member = self.random.below(network.len() as u64) as usize;
        if self.disturbed.cuts.iter().any(|&(other, _)| other == member) {
            return Ok(());
        }
        network.set_link(member, false)?;
        let time = self.random.between(100, 10_000);
        self.logs.note("cuts", &format!("member {member} for {time:?}"))?;
        self.disturbed.cuts.push((member, Instant::now() + time));
        self.counts.cuts += 1;
        Ok(())
    }

    /// Ends the stops and the cuts whose time is over.
    pub(super) fn recover(&mut self) -> anyhow::Result<()> {
        let now = Instant::now();
        if let Some((node, _)) = self.disturbed.stopped.take_if(|(_, end)| *end <= now) {
            signal("CONT", self.servers.process(node).context("a node does not run")?)?;
            self.disturbed.next = now + recovery(self.replicas);
        }
        if let Some(network) = &self.network {
            let cuts = mem::take(&mut self.disturbed.cuts);
            let (over, others): (Vec<_>, _) = cuts.into_iter().partition(|(_, end)| *end <= now);
            self.disturbed.cuts = others;
            for (member, _) in over {
                network.set_link(member, true)?;
            }
        }
        Ok(())
    }
}

fn recovery(nodes: usize) -> Duration {
    if nodes > 1 { RECOVERY } else { START }
}

fn signal(name: &str, process: u32) -> anyhow::Result<()> {
    let status = Command::new("kill").args(["-s", name, &process.to_string()]).status()?;
    // A process that has just ended gets no signal.
    let ended = !std::path::Path::new("/proc").join(process.to_string()).exists();
    ensure!(status.success() || ended, "a signal cannot be sent");
    Ok(())
}
