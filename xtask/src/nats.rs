//! Starts NATS servers with JetStream on loopback, for tests and examples.

mod api;
pub(crate) mod kills;
mod logs;
mod monitor;
mod network;
mod servers;

use std::process::{Command, ExitStatus};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};

use crate::build;
use network::Place;
use servers::Servers;

/// The time between two looks at the command.
const LOOK: Duration = Duration::from_millis(20);
/// The time that a command gets to end after a signal.
const END: Duration = Duration::from_secs(10);

/// Starts one node, or three that keep replicas. Prints the URL, and waits for Ctrl-C or the end of
/// a command. Then it ends the nodes, and removes their storage.
///
/// The command gets the URL in `REORDER_NATS_URL`.
pub(crate) fn run(arguments: &[String]) -> anyhow::Result<()> {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (nodes, command) = match &arguments[..] {
        ["--nodes", nodes, rest @ ..] => (nodes.parse().context("--nodes")?, rest),
        rest => (1, rest),
    };
    let command = match command {
        [] => None,
        ["--", program, arguments @ ..] => Some((program, arguments)),
        _ => bail!("usage: cargo xtask nats [--nodes COUNT] [-- COMMAND [ARGUMENT...]]"),
    };
    ensure!((1..=5).contains(&nodes), "there can be 1 to 5 nodes");
    // The signal must not end this process before it has removed the storage.
    let (stop, stopped) = mpsc::channel();
    ctrlc::set_handler(move || _ = stop.send(()))?;
    let servers = Servers::start(&vec![Place::LOOPBACK; nodes])?;
    println!("{}", servers.url());
    let Some((program, arguments)) = command else {
        eprintln!("nats: {nodes} nodes run until Ctrl-C");
        return Ok(stopped.recv()?);
    };
    let mut command = Command::new(program);
    build::forget_cargo(&mut command);
    command.args(arguments).env("REORDER_NATS_URL", servers.url());
    let status = run_command(&mut command, &stopped).with_context(|| (*program).to_owned())?;
    ensure!(status.success(), "{program}: {status}");
    Ok(())
}

/// Runs a command to its end. At a signal to this process, the command ends as well.
fn run_command(command: &mut Command, stopped: &Receiver<()>) -> anyhow::Result<ExitStatus> {
    let mut child = command.spawn()?;
    let mut kill_at = None;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if kill_at.is_none() && stopped.try_recv().is_ok() {
            // After Ctrl-C, the terminal has sent a signal to the command, too.
            Command::new("kill").args(["-s", "TERM", &child.id().to_string()]).status()?;
            kill_at = Some(Instant::now() + END);
        }
        if kill_at.is_some_and(|at| at <= Instant::now()) {
            child.kill()?;
        }
        thread::sleep(LOOK);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_arguments_are_refused() {
        for arguments in [&["--nodes"][..], &["--nodes", "x"], &["--nodes", "6"], &["--port", "1"]]
        {
            let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
            assert!(run(&arguments).is_err(), "{arguments:?}");
        }
    }

    #[test]
    fn a_signal_ends_the_command() {
        let (stop, stopped) = mpsc::channel();
        let begin = Instant::now();
        let status = run_command(Command::new("sh").args(["-c", "exit 3"]), &stopped).unwrap();
        assert_eq!(status.code(), Some(3));
        stop.send(()).unwrap();
        let status = run_command(Command::new("sleep").arg("1000"), &stopped).unwrap();
        assert!(!status.success() && begin.elapsed() < Duration::from_secs(1000));
    }
}
