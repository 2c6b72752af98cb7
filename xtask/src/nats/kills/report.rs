//! Prints the state of each process and its last lines, if a run fails.

use std::fmt::Display;

use crate::nats::kills::events::STREAMS;
use crate::nats::kills::rounds::Kills;
use crate::nats::logs::Logs;
use crate::nats::servers::{Servers, node_name};
use crate::nats::{api, monitor};

/// The most lines of a log.
const LINES: usize = 20;

impl Kills {
    /// Prints the states of all processes, and their last lines.
    pub(super) fn report(&mut self) {
        for process in self.owner.iter_mut().chain(&mut self.workers) {
            let state = process.state();
            println!("nats-kills: {}: {state}", process.name());
            print_last_lines(&self.logs, process.name());
        }
        let (nodes, monitors) = (self.servers.addresses(), self.servers.monitors());
        for (index, (node, monitor)) in nodes.into_iter().zip(monitors).enumerate() {
            let name = node_name(index);
            println!("nats-kills: {name}: {}", told(monitor::health(monitor)));
            print_indented(told(monitor::view(monitor)));
            for stream in STREAMS {
                let leader = api::leader_by(node, stream);
                let leader = told(leader.map(|leader| leader.unwrap_or_else(|| name.clone())));
                print_indented(format!("{stream} by the API: {leader}"));
            }
            print_last_lines(&self.servers.logs, &name);
        }
    }
}

/// Returns what is wrong with the servers: they say so themselves, or do not answer, or no server
/// answers for a stream.
pub(super) fn problems_of(servers: &Servers) -> Vec<String> {
    let mut problems = Vec::new();
    for (index, monitor) in servers.monitors().into_iter().enumerate() {
        match monitor::health(monitor) {
            Ok(health) if health == "ok" => {}
            answer => problems.push(format!("{}: {}", node_name(index), told(answer))),
        }
    }
    for stream in STREAMS {
        let mut answers = servers.addresses().into_iter().map(|node| api::leader_by(node, stream));
        if !answers.any(|answer| answer.is_ok()) {
            problems.push(format!("no server answers for {stream}"));
        }
    }
    problems
}

/// Returns what a process has told, or the reason why it has not.
fn told<T: Display, E: Display>(answer: Result<T, E>) -> String {
    answer.map_or_else(|error| error.to_string(), |told| told.to_string())
}

fn print_indented(text: String) {
    text.lines().for_each(|line| println!("    {line}"));
}

fn print_last_lines(logs: &Logs, name: &str) {
    let lines = logs.last_lines(name, LINES);
    print_indented(lines.map_or_else(|error| error.to_string(), |lines| lines.join("\n")));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nats::network::Place;
    use crate::nats::servers;

    #[test]
    fn servers_without_a_stream_or_an_answer_have_problems() {
        if servers::program().is_none() {
            println!("skipped: nats: nats-server is not installed");
            return;
        }
        let mut servers = Servers::start(&[Place::LOOPBACK]).unwrap();
        assert_eq!(
            problems_of(&servers),
            STREAMS.map(|name| format!("no server answers for {name}"))
        );
        for name in STREAMS {
            let stream = format!(r#"{{"name":"{name}","subjects":["{name}"]}}"#);
            let created = format!("STREAM.CREATE.{name}");
            api::request(servers.addresses()[0], &created, &stream).unwrap();
        }
        assert_eq!(problems_of(&servers), [""; 0]);
        servers.kill(0);
        assert_eq!(problems_of(&servers).len(), 4);
    }
}
