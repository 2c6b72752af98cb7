//! Requests to the API of JetStream, by the text protocol of NATS.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde::Deserialize;

/// The time limits of a connection, and of each part of an answer.
const CONNECT: Duration = Duration::from_millis(500);
const ANSWER: Duration = Duration::from_secs(2);
/// The subject of answers. A connection has one request.
const INBOX: &str = "_INBOX.reorder";

/// An answer about a stream or a consumer.
#[derive(Deserialize)]
struct Answer {
    cluster: Option<Cluster>,
    error: Option<Refusal>,
}

#[derive(Deserialize)]
struct Cluster {
    leader: Option<String>,
}

#[derive(Deserialize)]
struct Refusal {
    description: String,
}

/// Returns the name of the node that leads a stream. Returns `None` if no leader answers.
pub(super) fn leader(nodes: &[SocketAddr], stream: &str) -> Option<String> {
    nodes.iter().find_map(|&node| leader_by(node, stream).ok()?)
}

/// Returns the leader of a stream, as a node names it, or `None` if the node is alone.
///
/// # Errors
///
/// Returns the error in the answer, or the reason why there is none.
pub(super) fn leader_by(node: SocketAddr, stream: &str) -> io::Result<Option<String>> {
    let answer = request(node, &format!("STREAM.INFO.{stream}"), "")?;
    match serde_json::from_str(&answer)? {
        Answer { error: Some(error), .. } => Err(io::Error::other(error.description)),
        Answer { cluster: Some(Cluster { leader: None }), .. } => {
            Err(io::Error::other("no leader"))
        }
        Answer { cluster, .. } => Ok(cluster.and_then(|cluster| cluster.leader)),
    }
}

/// Sends a request to the API, and returns the answer.
pub(super) fn request(node: SocketAddr, subject: &str, body: &str) -> io::Result<String> {
    let mut connection = TcpStream::connect_timeout(&node, CONNECT)?;
    connection.set_read_timeout(Some(ANSWER))?;
    let length = body.len();
    write!(
        connection,
        "CONNECT {{\"verbose\":false}}\r\nSUB {INBOX} 1\r\n\
         PUB $JS.API.{subject} {INBOX} {length}\r\n{body}\r\n"
    )?;
    let mut lines = BufReader::new(connection);
    loop {
        let mut line = String::new();
        if lines.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        // MSG subject subscription [subject for an answer] length
        if line.starts_with("MSG ") {
            let length = line.split_whitespace().last().and_then(|length| length.parse().ok());
            let mut body = vec![0; length.ok_or(io::ErrorKind::InvalidData)?];
            lines.read_exact(&mut body)?;
            return String::from_utf8(body).map_err(io::Error::other);
        }
        if line.starts_with("-ERR") {
            return Err(io::Error::other(line));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::nats::monitor;
    use crate::nats::network::Place;
    use crate::nats::servers::{self, Servers};

    #[test]
    fn one_of_three_nodes_leads_a_stream() {
        if servers::program().is_none() {
            println!("skipped: nats: nats-server is not installed");
            return;
        }
        let servers = Servers::start(&[Place::LOOPBACK; 3]).unwrap();
        let nodes = servers.addresses();
        // The nodes elect a leader of their own at first.
        let create = r#"{"name":"some","subjects":["some"],"num_replicas":3}"#;
        while !request(nodes[1], "STREAM.CREATE.some", create).is_ok_and(|a| a.contains("config")) {
            thread::sleep(Duration::from_millis(100));
        }
        let leader = leader(&nodes, "some").unwrap();
        assert!(["node0", "node1", "node2"].contains(&&*leader), "{leader}");
        assert_eq!(super::leader(&nodes, "another"), None);
        let error = leader_by(nodes[0], "another").unwrap_err();
        assert_eq!(error.to_string(), "stream not found");
        // The leader knows that it leads.
        let index = servers.index_of(&leader).unwrap();
        let view = monitor::view(servers.monitors()[index]).unwrap().to_string();
        assert!(view.contains(&format!("some: {leader}, 0 messages")), "{view}");
    }
}
