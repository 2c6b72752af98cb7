//! Nodes of one cluster, each with its storage in a folder of its own.

use std::env;
use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use tempfile::TempDir;

use crate::nats::logs::Logs;
use crate::nats::network::Place;

/// The longest time in which a node accepts connections.
const START: Duration = Duration::from_secs(30);

/// The nodes. They end when it is dropped, and their storage is removed.
pub(super) struct Servers {
    nodes: Vec<Node>,
    /// Each node writes to the log of its name.
    pub(super) logs: Logs,
    folder: TempDir,
}

struct Node {
    place: Place,
    port: u16,
    /// The port for the other nodes.
    route: u16,
    /// The port for questions about the node, by HTTP.
    monitor: u16,
    process: Option<Child>,
}

/// Returns the path of the program, or `None` if it is not installed.
///
/// Debian installs it in a folder that only root has in its path.
pub(super) fn program() -> Option<PathBuf> {
    let named = env::var_os("REORDER_NATS_SERVER").map(PathBuf::from);
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    named.or_else(|| folders.map(|folder| folder.join("nats-server")).find(|file| file.is_file()))
}

impl Servers {
    /// Starts a node in each place, and waits until they accept connections.
    pub(super) fn start(places: &[Place]) -> anyhow::Result<Servers> {
        let (folder, count) = (tempfile::tempdir()?, places.len());
        // All listeners live until all ports are chosen, so that no port is chosen twice.
        let listeners: Vec<TcpListener> = (0..3 * count)
            .map(|_| TcpListener::bind(("127.0.0.1", 0)))
            .collect::<io::Result<_>>()?;
        let ports: Vec<u16> = listeners
            .iter()
            .map(|listener| Ok(listener.local_addr()?.port()))
            .collect::<io::Result<_>>()?;
        drop(listeners);
        let node = |(&place, ports): (&Place, &[u16])| {
            let (port, route, monitor) = (ports[0], ports[1], ports[2]);
            Node { place, port, route, monitor, process: None }
        };
        let nodes = places.iter().zip(ports.chunks(3)).map(node).collect();
        let mut servers = Servers { nodes, logs: Logs::new(folder.path()), folder };
        for index in 0..count {
            servers.start_node(index)?;
        }
        for index in 0..count {
            servers.wait_for(index)?;
        }
        Ok(servers)
    }

    /// Returns the URL of all nodes.
    pub(super) fn url(&self) -> String {
        let urls = self.addresses().into_iter().map(|address| format!("nats://{address}"));
        urls.collect::<Vec<_>>().join(",")
    }

    /// Returns the addresses of all nodes.
    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        self.nodes.iter().map(Node::address).collect()
    }

    /// Returns the addresses at which the nodes answer questions about them.
    pub(super) fn monitors(&self) -> Vec<SocketAddr> {
        self.nodes.iter().map(|node| (node.place.address, node.monitor).into()).collect()
    }

    /// Returns the index of a node, by its name.
    pub(super) fn index_of(&self, name: &str) -> Option<usize> {
        (0..self.nodes.len()).find(|&index| node_name(index) == name)
    }

    /// Starts a node that does not run.
    fn start_node(&mut self, index: usize) -> anyhow::Result<()> {
        let program = program().context("nats-server is not installed")?;
        let Node { place, port, monitor, .. } = &self.nodes[index];
        let name = node_name(index);
        let mut command = place.command(&program);
        command.args(["-a", &place.address.to_string(), "-p", &port.to_string(), "-js"]);
        command.args(["-m", &monitor.to_string(), "-n", &name, "-sd"]).arg(self.storage(index));
        if self.nodes.len() > 1 {
            let route = |node: &Node| format!("nats://{}:{}", node.place.address, node.route);
            let routes: Vec<String> = self.nodes.iter().map(route).collect();
            command.args(["--cluster_name", "reorder", "--cluster", &routes[index]]);
            command.args(["--routes", &routes.join(",")]);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(self.logs.open(&name)?);
        let process = command.spawn().with_context(|| program.display().to_string())?;
        self.nodes[index].process = Some(process);
        Ok(())
    }

    /// Waits until a node accepts connections.
    fn wait_for(&mut self, index: usize) -> anyhow::Result<()> {
        let begin = Instant::now();
        let node = &mut self.nodes[index];
        while TcpStream::connect(node.address()).is_err() {
            if let Some(status) = node.process.as_mut().and_then(|p| p.try_wait().transpose()) {
                bail!("a node has ended: {}", status?);
            }
            if begin.elapsed() > START {
                bail!("a node does not accept connections");
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    fn storage(&self, index: usize) -> PathBuf {
        self.folder.path().join(format!("node{index}"))
    }

    /// Kills a node, and starts it again, without its storage if it `loses_storage`.
    pub(super) fn restart(&mut self, index: usize, loses_storage: bool) -> anyhow::Result<()> {
        self.kill(index);
        if loses_storage {
            remove(&self.storage(index))?;
        }
        self.start_node(index)
    }

    /// Starts the nodes again that have ended by themselves. Another program may have had the port
    /// of a node when it started.
    pub(super) fn start_again(&mut self) -> anyhow::Result<()> {
        for index in 0..self.nodes.len() {
            if let Some(process) = &mut self.nodes[index].process {
                if process.try_wait()?.is_some() {
                    self.start_node(index)?;
                }
            }
        }
        Ok(())
    }

    /// Returns the id of a node's process.
    pub(super) fn process(&self, index: usize) -> Option<u32> {
        self.nodes[index].process.as_ref().map(Child::id)
    }

    /// Kills a node.
    pub(super) fn kill(&mut self, index: usize) {
        if let Some(mut process) = self.nodes[index].process.take() {
            // It fails if the node has ended.
            _ = process.kill();
            _ = process.wait();
        }
    }
}

impl Node {
    fn address(&self) -> SocketAddr {
        (self.place.address, self.port).into()
    }
}

pub(super) fn node_name(index: usize) -> String {
    format!("node{index}")
}

impl Drop for Servers {
    fn drop(&mut self) {
        (0..self.nodes.len()).for_each(|index| self.kill(index));
    }
}

/// Removes a folder if it exists.
fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_start_again_and_leave_nothing() {
        if program().is_none() {
            println!("skipped: nats: nats-server is not installed");
            return;
        }
        let mut servers = Servers::start(&[Place::LOOPBACK; 2]).unwrap();
        let (folder, storage) = (servers.folder.path().to_owned(), servers.storage(1));
        let addresses = servers.addresses();
        assert_eq!(servers.url().matches("nats://127.0.0.1:").count(), 2);
        assert!(storage.is_dir());
        fs::write(storage.join("file"), "content").unwrap();
        servers.restart(1, false).unwrap();
        assert!(storage.join("file").is_file());
        servers.restart(1, true).unwrap();
        servers.wait_for(1).unwrap();
        assert!(storage.is_dir() && !storage.join("file").exists());
        assert!(!servers.logs.last_lines("node1", 1).unwrap().is_empty());
        // A node that has ended by itself starts again, and no other node.
        let ids = (servers.process(0), servers.process(1));
        let process = servers.nodes[1].process.as_mut().unwrap();
        process.kill().unwrap();
        process.wait().unwrap();
        servers.start_again().unwrap();
        servers.wait_for(1).unwrap();
        assert!(servers.process(0) == ids.0 && servers.process(1) != ids.1);
        drop(servers);
        assert!(!folder.exists());
        assert!(addresses.iter().all(|address| TcpStream::connect(address).is_err()));
    }
}
