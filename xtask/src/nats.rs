//! Starts NATS servers with JetStream on loopback, for tests and examples.

pub(crate) mod kills;
mod servers;

use std::process::Command;
use std::sync::mpsc;

use anyhow::{Context as _, bail, ensure};

use crate::build;
use servers::Servers;

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
    let servers = Servers::start(nodes)?;
    println!("{}", servers.url());
    let Some((program, arguments)) = command else {
        eprintln!("nats: {nodes} nodes run until Ctrl-C");
        return Ok(stopped.recv()?);
    };
    let mut command = Command::new(program);
    build::forget_cargo(&mut command);
    command.args(arguments).env("REORDER_NATS_URL", servers.url());
    let status = command.status().with_context(|| (*program).to_owned())?;
    ensure!(status.success(), "{program}: {status}");
    Ok(())
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
}
