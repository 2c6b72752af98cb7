//! A blocking and an async request, and the outcome of an attempt.

use std::fmt;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use reorder_requests::AttemptOutcome;
use tokio::net::TcpStream;

/// The maximum time of a request that has no deadline.
const TIMEOUT: Duration = Duration::from_secs(1);

/// The reason why a request returned no content.
#[derive(Debug)]
pub(crate) enum Error {
    Status(u16),
    NoAnswer(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Status(status) => write!(f, "the server answered with status {status}"),
            Error::NoAnswer(error) => write!(f, "the server did not answer: {error}"),
        }
    }
}

type Reply = AttemptOutcome<String, Error>;

/// Returns the outcome of an attempt that the server has answered.
fn outcome(status: u16, retry_after: Option<&str>, body: String) -> Reply {
    match status {
        200 => AttemptOutcome::Done(body),
        429 | 503 => {
            let error = Error::Status(status);
            match retry_after.and_then(|text| text.parse().ok()).map(Duration::from_secs) {
                // The server says it to all clients, so no batch calls it before.
                Some(after) => AttemptOutcome::Closed { error, after },
                None => AttemptOutcome::Retry { error, after: None },
            }
        }
        _ => AttemptOutcome::Failed(Error::Status(status)),
    }
}

/// Returns the outcome of an attempt without an answer.
fn no_answer(error: impl fmt::Display) -> Reply {
    AttemptOutcome::Retry { error: Error::NoAnswer(error.to_string()), after: None }
}

/// A client with blocking requests.
#[derive(Clone)]
pub(crate) struct Client {
    agent: ureq::Agent,
    address: SocketAddr,
}

impl Client {
    pub(crate) fn new(address: SocketAddr) -> Client {
        let config = ureq::Agent::config_builder().http_status_as_error(false);
        Client { agent: config.build().into(), address }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn fetch(&self, batch: u32, index: u32, deadline: Option<Instant>) -> Reply {
        let url = format!("http://{}/{batch}/{index}", self.address);
        let time = deadline.map_or(TIMEOUT, |at| at.saturating_duration_since(Instant::now()));
        let request = self.agent.get(url).config().timeout_global(Some(time)).build();
        let mut response = match request.call() {
            Ok(response) => response,
            Err(error) => return no_answer(error),
        };
        let status = response.status().as_u16();
        let after = response.headers().get("retry-after").and_then(|value| value.to_str().ok());
        let after = after.map(str::to_owned);
        match response.body_mut().read_to_string() {
            Ok(body) => outcome(status, after.as_deref(), body),
            Err(error) => no_answer(error),
        }
    }
}

/// Makes the same request as a future, over a new connection.
pub(crate) async fn fetch(address: SocketAddr, batch: u32, index: u32) -> Reply {
    exchange(address, batch, index).await.unwrap_or_else(no_answer)
}

type AnyError = Box<dyn std::error::Error + Send + Sync>;

async fn exchange(address: SocketAddr, batch: u32, index: u32) -> Result<Reply, AnyError> {
    let stream = TokioIo::new(TcpStream::connect(address).await?);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await?;
    // The connection ends with the sender. The request returns the connection's error.
    let connection = tokio::spawn(connection);
    let request = hyper::Request::get(format!("/{batch}/{index}"))
        .header("host", address.to_string())
        .body(Empty::<Bytes>::new())?;
    let response = sender.send_request(request).await?;
    let status = response.status().as_u16();
    let after = response.headers().get("retry-after").and_then(|value| value.to_str().ok());
    let after = after.map(str::to_owned);
    let body = response.into_body().collect().await?.to_bytes();
    connection.abort();
    Ok(outcome(status, after.as_deref(), String::from_utf8(body.into())?))
}
