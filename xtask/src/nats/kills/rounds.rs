//! The rounds: each compresses new files by the example `remote_gzip`, while things happen.
//!
//! After each round, the outputs must decompress to the inputs. A block that is missing, doubled or
//! swapped would show.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};

use crate::build;
use crate::nats::kills::counts::Counts;
use crate::nats::kills::events::Disturbed;
use crate::nats::kills::report::problems_of;
use crate::nats::kills::{Random, Settings};
use crate::nats::logs::Logs;
use crate::nats::network::{Network, Place};
use crate::nats::servers::Servers;

pub(super) const WORKERS: usize = 3;
/// The members of the network: the owner, the workers, and the servers.
pub(super) const OWNER: usize = 0;
const FIRST_WORKER: usize = 1;
const FIRST_SERVER: usize = FIRST_WORKER + WORKERS;
/// The sizes of the inputs: no block, one block, and many.
const SIZES: [usize; 4] = [0, 100_000, 131_072 * 90, 5_000_000];
/// The longest time of a round after the last event.
const ROUND: Duration = Duration::from_secs(180);
/// The time between two looks at the owner.
const LOOK: Duration = Duration::from_millis(20);

pub(super) struct Kills {
    // Processes end before the servers, these before their folder, and all before the network.
    pub(super) owner: Option<Process>,
    pub(super) workers: Vec<Process>,
    pub(super) servers: Servers,
    /// The logs of the owner and of the workers.
    pub(super) logs: Logs,
    folder: tempfile::TempDir,
    pub(super) network: Option<Network>,
    pub(super) random: Random,
    pub(super) replicas: usize,
    pub(super) loses_storage: bool,
    pub(super) disturbed: Disturbed,
    pub(super) counts: Counts,
    /// Gets a message at Ctrl-C, or at another signal that ends this process.
    interrupted: Receiver<()>,
}

impl Kills {
    pub(super) fn new(settings: &Settings) -> anyhow::Result<Kills> {
        // The signal must not end this process before it has ended the others, and has removed
        // their files.
        let (interrupt, interrupted) = mpsc::channel();
        ctrlc::set_handler(move || _ = interrupt.send(()))?;
        let nodes = settings.nodes;
        let network =
            settings.cuts_network.then(|| Network::new(FIRST_SERVER + nodes)).transpose()?;
        let places: Vec<Place> =
            (FIRST_SERVER..FIRST_SERVER + nodes).map(|member| place(&network, member)).collect();
        let folder = tempfile::tempdir()?;
        Ok(Kills {
            owner: None,
            workers: Vec::new(),
            servers: Servers::start(&places)?,
            logs: Logs::new(folder.path()),
            folder,
            network,
            random: Random::new(settings.seed),
            replicas: nodes,
            loses_storage: settings.loses_storage,
            disturbed: Disturbed::new(nodes),
            counts: Counts { nodes: vec![(0, 0); nodes], ..Counts::default() },
            interrupted,
        })
    }

    pub(super) fn run(mut self, time: Duration) -> anyhow::Result<Counts> {
        let end = Instant::now() + time;
        for index in 0..WORKERS {
            let worker = self.start_worker(index)?;
            self.workers.push(worker);
        }
        while Instant::now() < end {
            let inputs = self.write_inputs()?;
            self.round(&inputs, end)?;
            self.check(&inputs)?;
            self.counts.rounds += 1;
        }
        Ok(self.counts)
    }

    /// Compresses the files. Until the end, things happen.
    fn round(&mut self, inputs: &[PathBuf], end: Instant) -> anyhow::Result<()> {
        self.owner = Some(self.start_owner(inputs, false)?);
        let mut last_event = Instant::now();
        let mut next_event = last_event + self.random.between(50, 550);
        loop {
            ensure!(self.interrupted.try_recv().is_err(), "interrupted");
            self.servers.start_again()?;
            self.recover()?;
            if self.is_over(last_event).inspect_err(|_| self.report())? {
                return Ok(());
            }
            let now = Instant::now();
            if now >= next_event && now < end {
                self.event(inputs)?;
                last_event = Instant::now();
                next_event = last_event + self.random.between(50, 550);
            }
            thread::sleep(LOOK);
        }
    }

    /// Returns `true` if the owner has ended with success. Fails if another process has ended, or
    /// if the last event is too long ago.
    fn is_over(&mut self, last_event: Instant) -> anyhow::Result<bool> {
        for worker in &mut self.workers {
            if let Some(status) = worker.ended()? {
                bail!("a worker that was not killed has ended: {status}");
            }
        }
        let ended = self.owner.as_mut().context("no owner")?.ended()?;
        if let Some(status) = ended {
            ensure!(status.success(), "an owner that was not killed has ended: {status}");
        }
        if last_event.elapsed() >= ROUND {
            let problems = problems_of(&self.servers);
            ensure!(problems.is_empty(), "the servers have not recovered: {}", problems.join("; "));
            bail!("no end, {ROUND:?} after the last event, and the servers have recovered");
        }
        Ok(ended.is_some())
    }

    pub(super) fn start_worker(&self, index: usize) -> anyhow::Result<Process> {
        self.start(format!("worker{index}"), self.command(FIRST_WORKER + index).arg("--worker"))
    }

    pub(super) fn start_owner(&self, inputs: &[PathBuf], resume: bool) -> anyhow::Result<Process> {
        let mut command = self.command(OWNER);
        command.args(["--workers", "0", "--out"]).arg(self.outputs()).args(inputs);
        if resume {
            command.arg("--resume");
        }
        self.start("owner".to_owned(), &mut command)
    }

    fn command(&self, member: usize) -> Command {
        let program = build::target().join("debug/examples/remote_gzip");
        let mut command = place(&self.network, member).command(&program);
        command.args(["--patience", "4", "--nats", &self.servers.url()]);
        command.args(["--replicas", &self.replicas.to_string()]);
        command
    }

    fn start(&self, name: String, command: &mut Command) -> anyhow::Result<Process> {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(self.logs.open(&name)?);
        let child = command.spawn().context("the example does not start")?;
        self.logs.note(&name, &format!("started: process {}", child.id()))?;
        Ok(Process { name, child })
    }

    fn outputs(&self) -> PathBuf {
        self.folder.path().join("out")
    }

    /// Writes new inputs. Their bytes are random, and can be compressed to half.
    fn write_inputs(&mut self) -> anyhow::Result<Vec<PathBuf>> {
        let mut inputs = Vec::new();
        for (index, size) in SIZES.into_iter().enumerate() {
            let bytes: Vec<u8> = (0..size).map(|_| self.random.below(16) as u8).collect();
            let path = self.folder.path().join(format!("in{index}"));
            fs::write(&path, bytes)?;
            inputs.push(path);
        }
        Ok(inputs)
    }

    /// Fails unless each output decompresses to its input. Removes the outputs.
    fn check(&mut self, inputs: &[PathBuf]) -> anyhow::Result<()> {
        for input in inputs {
            let name = input.file_name().context("a file has no name")?.to_string_lossy();
            let output = self.outputs().join(format!("{name}.gz"));
            ensure!(decompressed(&output)? == fs::read(input)?, "{name} has another output");
        }
        let outputs = fs::read_dir(self.outputs())?.count();
        ensure!(outputs == inputs.len(), "there are {outputs} outputs");
        self.counts.blocks +=
            SIZES.map(|size| size.div_ceil(128 << 10).max(1)).iter().sum::<usize>();
        Ok(fs::remove_dir_all(self.outputs())?)
    }
}

fn place(network: &Option<Network>, member: usize) -> Place {
    network.as_ref().map_or(Place::LOOPBACK, |network| network.place(member))
}

/// Returns the content of a file, by the system's gzip.
fn decompressed(file: &Path) -> anyhow::Result<Vec<u8>> {
    let input = File::open(file).with_context(|| file.display().to_string())?;
    let output = Command::new("gzip").arg("-dc").stdin(input).output().context("gzip")?;
    ensure!(output.status.success(), "{}: gzip cannot decompress it", file.display());
    Ok(output.stdout)
}

/// A process, which is killed when it is dropped.
pub(super) struct Process {
    name: String,
    child: Child,
}

impl Process {
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Returns the status of a process that has ended.
    fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// Returns a word about the process.
    pub(super) fn state(&mut self) -> String {
        match self.ended() {
            Ok(Some(status)) => format!("ended: {status}"),
            Ok(None) => "runs".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    pub(super) fn kill(&mut self) {
        // It fails if the process has ended.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
