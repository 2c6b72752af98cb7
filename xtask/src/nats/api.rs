//! Requests to the API of JetStream, by the text protocol of NATS.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// The time limits of a connection, and of each part of an answer.
const CONNECT: Duration = Duration::from_millis(500);
const ANSWER: Duration = Duration::from_secs(2);
/// The subject of answers. A connection has one request.
const INBOX: &str = "_INBOX.reorder";

/// Returns the name of the node that leads a stream. Returns `None` if no leader answers.
pub(super) fn leader(nodes: &[SocketAddr], stream: &str) -> Option<String> {
    let subject = format!("STREAM.INFO.{stream}");
    nodes.iter().find_map(|&node| leader_in(&request(node, &subject, "").ok()?))
}

/// Returns the leader that the information about a stream names.
fn leader_in(information: &str) -> Option<String> {
    let (_, rest) = information.split_once(r#""leader":""#)?;
    rest.split('"').next().map(str::to_owned)
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
    }
}
