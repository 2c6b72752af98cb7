//! Kills and stops workers, owners and servers at random, while files are compressed.
//!
//! The program is the example `remote_gzip`. Each round compresses new files. After each round, the
//! outputs must decompress to the inputs. A block that is missing, doubled or swapped would show.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, bail, ensure};

use crate::build;
use crate::nats::servers::{self, Servers};

const WORKERS: usize = 3;
/// The sizes of the inputs: no block, one block, and many.
const SIZES: [usize; 4] = [0, 100_000, 131_072 * 90, 5_000_000];
/// The longest time of a round after the last event.
const ROUND: Duration = Duration::from_secs(180);
/// The time between two looks at the owner.
const LOOK: Duration = Duration::from_millis(20);
/// The time that a cluster gets to replace a node, before another node is killed or stopped.
const RECOVERY: Duration = Duration::from_secs(5);

struct Settings {
    time: Duration,
    seed: u64,
    nodes: usize,
    loses_storage: bool,
}

#[derive(Debug, Default)]
struct Counts {
    workers: u32,
    owners: u32,
    servers: u32,
    storages: u32,
    stops: u32,
    rounds: u32,
    blocks: usize,
}

/// Runs rounds for a time, and prints the numbers.
pub(crate) fn run(arguments: &[String]) -> anyhow::Result<()> {
    let settings = Settings::read(arguments)?;
    if servers::program().is_none() {
        println!("skipped: nats-kills: nats-server is not installed");
        return Ok(());
    }
    let mut cargo = build::cargo();
    cargo.args(["build", "-q", "-p", "reorder-remote", "--features", "nats"]);
    let built = cargo.args(["--example", "remote_gzip"]).status().context("cargo")?;
    ensure!(built.success(), "the example does not build");

    let Settings { seed, nodes, loses_storage, .. } = settings;
    let with = if loses_storage { ", which lose their storage" } else { "" };
    println!("nats-kills: seed {seed}, {nodes} servers{with}");
    let counts = Kills::new(&settings)?.run(settings.time)?;
    let Counts { workers, owners, servers, storages, stops, rounds, blocks } = counts;
    println!(
        "nats-kills: {workers} workers, {owners} owners and {servers} servers killed, {storages} \
         storages removed, {stops} processes stopped for a while"
    );
    println!("nats-kills: {rounds} rounds, {blocks} blocks in order, each once: ok");
    Ok(())
}

impl Settings {
    fn read(arguments: &[String]) -> anyhow::Result<Settings> {
        let seed = SystemTime::UNIX_EPOCH.elapsed()?.subsec_nanos().into();
        let time = Duration::from_secs(60);
        let mut settings = Settings { time, seed, nodes: 1, loses_storage: false };
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
                _ => bail!(
                    "usage: cargo xtask nats-kills [--seconds N] [--seed N] [--nodes N | \
                     --lose-storage]"
                ),
            }
        }
        // Replicas cannot replace a node that has lost what it had promised.
        ensure!(settings.nodes == 1 || !settings.loses_storage, "only one node loses its storage");
        Ok(settings)
    }
}

struct Kills {
    // Processes end before the servers, and the servers before their folder.
    workers: Vec<Process>,
    servers: Servers,
    folder: tempfile::TempDir,
    random: Random,
    replicas: usize,
    loses_storage: bool,
    next_server: Instant,
    counts: Counts,
    /// Gets a message at Ctrl-C, or at another signal that ends this process.
    interrupted: Receiver<()>,
}

impl Kills {
    fn new(settings: &Settings) -> anyhow::Result<Kills> {
        // The signal must not end this process before it has ended the others, and has removed
        // their files.
        let (interrupt, interrupted) = mpsc::channel();
        ctrlc::set_handler(move || _ = interrupt.send(()))?;
        Ok(Kills {
            workers: Vec::new(),
            servers: Servers::start(settings.nodes)?,
            folder: tempfile::tempdir()?,
            random: Random(settings.seed | 1),
            replicas: settings.nodes,
            loses_storage: settings.loses_storage,
            next_server: Instant::now() + RECOVERY,
            counts: Counts::default(),
            interrupted,
        })
    }

    fn run(mut self, time: Duration) -> anyhow::Result<Counts> {
        let end = Instant::now() + time;
        for _ in 0..WORKERS {
            let worker = self.start_worker()?;
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
        let mut owner = self.start_owner(inputs, false)?;
        let mut last_event = Instant::now();
        let mut next_event = last_event + self.random.pause();
        loop {
            ensure!(self.interrupted.try_recv().is_err(), "interrupted");
            self.servers.start_again()?;
            if let Some(status) = owner.0.try_wait()? {
                ensure!(status.success(), "an owner that was not killed has ended: {status}");
                return Ok(());
            }
            let now = Instant::now();
            if now >= next_event && now < end {
                self.event(&mut owner, inputs)?;
                last_event = Instant::now();
                next_event = last_event + self.random.pause();
            }
            ensure!(last_event.elapsed() < ROUND, "no end, {ROUND:?} after the last event");
            thread::sleep(LOOK);
        }
    }

    fn event(&mut self, owner: &mut Process, inputs: &[PathBuf]) -> anyhow::Result<()> {
        let worker = self.random.below(WORKERS as u64) as usize;
        match self.random.below(20) {
            0..10 => {
                self.workers[worker] = self.start_worker()?;
                self.counts.workers += 1;
            }
            10..13 => {
                // The older owner must end first, as the sink has no guard against two processes.
                owner.kill();
                *owner = self.start_owner(inputs, true)?;
                self.counts.owners += 1;
            }
            13 => self.stop(self.workers[worker].0.id())?,
            14 => self.stop(owner.0.id())?,
            event => {
                if Instant::now() < self.next_server {
                    return Ok(());
                }
                let node = self.random.below(self.replicas as u64) as usize;
                if event < 17 {
                    self.stop(self.servers.process(node).context("a node does not run")?)?;
                } else {
                    self.servers.restart(node, self.loses_storage)?;
                    self.counts.servers += 1;
                    self.counts.storages += u32::from(self.loses_storage);
                }
                let pause = if self.replicas > 1 { RECOVERY } else { RECOVERY / 5 };
                self.next_server = Instant::now() + pause;
            }
        }
        Ok(())
    }

    /// Stops a process for up to 3 seconds. The lease of an owner is 2 seconds.
    fn stop(&mut self, process: u32) -> anyhow::Result<()> {
        signal("STOP", process)?;
        thread::sleep(Duration::from_millis(self.random.below(3000)));
        signal("CONT", process)?;
        self.counts.stops += 1;
        Ok(())
    }

    fn start_worker(&self) -> anyhow::Result<Process> {
        self.start(self.command().arg("--worker"))
    }

    fn start_owner(&self, inputs: &[PathBuf], resume: bool) -> anyhow::Result<Process> {
        let mut command = self.command();
        command.args(["--workers", "0", "--out"]).arg(self.outputs()).args(inputs);
        if resume {
            command.arg("--resume");
        }
        self.start(&mut command)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(build::target().join("debug/examples/remote_gzip"));
        command.args(["--patience", "4", "--nats", &self.servers.url()]);
        command.args(["--replicas", &self.replicas.to_string()]);
        command
    }

    fn start(&self, command: &mut Command) -> anyhow::Result<Process> {
        command.stdin(Stdio::null()).stdout(Stdio::null());
        Ok(Process(command.spawn().context("the example does not start")?))
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

/// Returns the content of a file, by the system's gzip.
fn decompressed(file: &Path) -> anyhow::Result<Vec<u8>> {
    let input = File::open(file).with_context(|| file.display().to_string())?;
    let output = Command::new("gzip").arg("-dc").stdin(input).output().context("gzip")?;
    ensure!(output.status.success(), "{}: gzip cannot decompress it", file.display());
    Ok(output.stdout)
}

fn signal(name: &str, process: u32) -> anyhow::Result<()> {
    let status = Command::new("kill").args(["-s", name, &process.to_string()]).status()?;
    // A process that has just ended gets no signal.
    let ended = !Path::new("/proc").join(process.to_string()).exists();
    ensure!(status.success() || ended, "a signal cannot be sent");
    Ok(())
}

/// A process, which is killed when it is dropped.
struct Process(Child);

impl Process {
    fn kill(&mut self) {
        // It fails if the process has ended.
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Random numbers by xorshift.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % limit
    }

    /// Returns the time between two events.
    fn pause(&mut self) -> Duration {
        Duration::from_millis(50 + self.below(500))
    }
}
