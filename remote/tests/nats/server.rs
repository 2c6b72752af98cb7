//! Servers on loopback, each with its storage in a folder of its own.

use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, Once};
use std::thread;
use std::time::Duration;

use reorder_remote::{NatsBuilder, NatsLink};
use tempfile::TempDir;

/// The path of the program.
const VARIABLE: &str = "REORDER_NATS_SERVER";

/// Some nodes of one cluster, or one node alone.
pub(crate) struct Servers {
    nodes: Vec<Node>,
}

struct Node {
    arguments: Vec<String>,
    port: u16,
    storage: TempDir,
    process: Option<Child>,
}

impl Servers {
    /// Starts servers, or returns `None` and prints a line if there is no program.
    pub(crate) fn start(count: usize) -> Option<Servers> {
        Servers::start_with(count, &[])
    }

    /// Starts servers with more arguments.
    pub(crate) fn start_with(count: usize, more: &[&str]) -> Option<Servers> {
        static SKIPPED: Once = Once::new();
        if std::env::var_os(VARIABLE).is_none() {
            SKIPPED.call_once(|| {
                // The test harness shows what a test that passes writes in this way.
                _ = std::io::stderr().write_all(
                    format!("skipped: nats: {VARIABLE} does not name a nats-server\n").as_bytes(),
                );
            });
            return None;
        }
        let routes: Vec<u16> = (0..count).map(|_| free_port()).collect();
        let all_routes: Vec<String> =
            routes.iter().map(|port| format!("nats://127.0.0.1:{port}")).collect();
        let nodes = routes.iter().enumerate().map(|(index, route)| {
            let port = free_port();
            let mut arguments: Vec<String> =
                ["-a", "127.0.0.1", "-js", "-p"].map(str::to_owned).into();
            arguments.extend([port.to_string(), "-n".to_owned(), format!("node{index}")]);
            arguments.extend(more.iter().map(|&argument| argument.to_owned()));
            if count > 1 {
                arguments.extend(["--cluster_name", "tests", "--cluster"].map(str::to_owned));
                arguments.extend([format!("nats://127.0.0.1:{route}"), "--routes".to_owned()]);
                arguments.push(all_routes.join(","));
            }
            Node { arguments, port, storage: tempfile::tempdir().unwrap(), process: None }
        });
        let mut servers = Servers { nodes: nodes.collect() };
        (0..count).for_each(|index| servers.restart(index));
        Some(servers)
    }

    /// Starts a node that does not run, and waits until it accepts connections.
    pub(crate) fn restart(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        let mut command = Command::new(std::env::var_os(VARIABLE).unwrap());
        command.args(&node.arguments).arg("-sd").arg(node.storage.path());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        node.process = Some(command.spawn().unwrap());
        while TcpStream::connect(("127.0.0.1", node.port)).is_err() {
            // Another program may have had the port when the node started.
            if node.process.as_mut().is_none_or(|process| process.try_wait().unwrap().is_some()) {
                node.process = Some(command.spawn().unwrap());
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Kills a node.
    pub(crate) fn kill(&mut self, index: usize) {
        if let Some(mut process) = self.nodes[index].process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// Kills a node, removes its storage, and starts it again.
    pub(crate) fn restart_without_storage(&mut self, index: usize) {
        self.kill(index);
        remove_content(self.nodes[index].storage.path());
        self.restart(index);
    }

    /// Returns the URL of all nodes.
    pub(crate) fn url(&self) -> String {
        let urls = self.nodes.iter().map(|node| format!("nats://127.0.0.1:{}", node.port));
        urls.collect::<Vec<_>>().join(",")
    }

    /// Connects to the job with this name, with short times.
    pub(crate) async fn link(&self, job: &str) -> NatsLink {
        settings(job).connect(&self.url()).await.unwrap()
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        (0..self.nodes.len()).for_each(|index| self.kill(index));
    }
}

/// Returns settings with short times.
pub(crate) fn settings(job: &str) -> NatsBuilder {
    NatsLink::builder(job)
        .open_within(Duration::from_secs(60))
        .acknowledgement_wait(Duration::from_secs(1))
}

/// Returns a port that is free, and that no other test gets.
fn free_port() -> u16 {
    static GIVEN: Mutex<Vec<u16>> = Mutex::new(Vec::new());
    let mut given = GIVEN.lock().unwrap();
    loop {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        if !given.contains(&port) {
            given.push(port);
            return port;
        }
    }
}

fn remove_content(folder: &Path) {
    for entry in std::fs::read_dir(folder).unwrap() {
        std::fs::remove_dir_all(entry.unwrap().path()).unwrap();
    }
}
