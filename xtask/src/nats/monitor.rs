//! Asks a node for its view of the streams and consumers, by HTTP.

use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;

/// The time limits of a connection, and of each part of an answer.
const CONNECT: Duration = Duration::from_millis(500);
const ANSWER: Duration = Duration::from_secs(2);

/// The streams and consumers of a node, and their leaders in its view.
#[derive(Debug, Default, Deserialize)]
pub(super) struct View {
    meta_cluster: Option<Group>,
    #[serde(default, rename = "account_details")]
    accounts: Vec<Account>,
}

#[derive(Debug, Deserialize)]
struct Account {
    #[serde(default, rename = "stream_detail")]
    streams: Vec<Stream>,
}

#[derive(Debug, Deserialize)]
struct Stream {
    name: String,
    cluster: Option<Group>,
    state: StreamState,
    #[serde(default, rename = "consumer_detail")]
    consumers: Vec<Consumer>,
}

#[derive(Debug, Deserialize)]
struct StreamState {
    messages: u64,
    last_seq: u64,
}

#[derive(Debug, Deserialize)]
struct Consumer {
    name: String,
    cluster: Option<Group>,
    num_pending: u64,
    num_ack_pending: u64,
    num_waiting: u64,
}

/// The nodes that keep the replicas of something.
#[derive(Debug, Deserialize)]
struct Group {
    #[serde(default)]
    leader: String,
}

/// Returns the view of a node.
pub(super) fn view(monitor: SocketAddr) -> io::Result<View> {
    get(monitor, "jsz?streams=1&consumers=1")
}

/// Returns the problem that a node has, or "ok".
pub(super) fn health(monitor: SocketAddr) -> io::Result<String> {
    #[derive(Deserialize)]
    struct Health {
        status: String,
        error: Option<String>,
    }
    let Health { status, error } = get(monitor, "healthz")?;
    Ok(error.unwrap_or(status))
}

fn get<T: DeserializeOwned>(monitor: SocketAddr, path: &str) -> io::Result<T> {
    let mut connection = TcpStream::connect_timeout(&monitor, CONNECT)?;
    connection.set_read_timeout(Some(ANSWER))?;
    // With this version of the protocol, the answer ends with the connection.
    write!(connection, "GET /{path} HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer)?;
    let (_, body) = answer.split_once("\r\n\r\n").ok_or(io::ErrorKind::InvalidData)?;
    Ok(serde_json::from_str(body)?)
}

fn leader(group: Option<&Group>) -> &str {
    group.map(|group| &*group.leader).filter(|leader| !leader.is_empty()).unwrap_or("no leader")
}

impl fmt::Display for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the cluster: {}", leader(self.meta_cluster.as_ref()))?;
        for stream in self.accounts.iter().flat_map(|account| &account.streams) {
            let Stream { name, state: StreamState { messages, last_seq }, .. } = stream;
            let of_stream = leader(stream.cluster.as_ref());
            write!(f, "\n{name}: {of_stream}, {messages} messages, the last is {last_seq}")?;
            for consumer in &stream.consumers {
                let Consumer { name, num_pending, num_ack_pending, num_waiting, .. } = consumer;
                let of_consumer = leader(consumer.cluster.as_ref());
                write!(
                    f,
                    "\n  consumer {name}: {of_consumer}, {num_pending} messages undelivered, \
                     {num_ack_pending} not acknowledged, {num_waiting} requests wait"
                )?;
            }
        }
        Ok(())
    }
}
