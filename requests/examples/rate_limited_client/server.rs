//! A service with a real limit, which sometimes fails, answers late, or does not answer.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use tiny_http::{Header, Request, Response};

/// The limits of the server: 50 requests in any 200 ms, and 200 requests in any second.
pub(crate) const LIMITS: [Limit; 2] = [
    Limit { requests: 50, within: Duration::from_millis(200) },
    Limit { requests: 200, within: Duration::from_secs(1) },
];

/// The threads that answer. tiny_http has other threads for the connections.
const THREADS: usize = 4;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Limit {
    pub(crate) requests: usize,
    pub(crate) within: Duration,
}

/// Returns a line that describes the server.
pub(crate) fn description() -> String {
    let limits =
        LIMITS.map(|limit| format!("{} requests in any {:?}", limit.requests, limit.within));
    format!("a server that answers at most {}", limits.join(", and "))
}

/// A request that the server received.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Received {
    pub(crate) at: Instant,
    pub(crate) status: u16,
}

/// The status of a request that exceeds the limit.
pub(crate) const REFUSED: u16 = 429;
/// The status of a request that is not answered.
pub(crate) const NO_ANSWER: u16 = 0;

#[derive(Default)]
struct State {
    received: Vec<Received>,
    /// The number of requests for each item that were within the limit.
    attempts: HashMap<(u32, u32), u32>,
    /// The requests that are never answered. A drop would answer them.
    unanswered: Vec<Request>,
}

pub(crate) struct Server {
    http: Arc<tiny_http::Server>,
    state: Arc<Mutex<State>>,
    address: SocketAddr,
    threads: Vec<thread::JoinHandle<()>>,
}

/// The reaction to a request that is within the limit.
enum Reaction {
    Answer,
    Late(Duration),
    Unavailable,
    Missing,
    NoAnswer,
}

/// Returns the content of an item.
pub(crate) fn content(batch: u32, index: u64) -> String {
    format!("{batch}:{index}:{}", index.pow(2) + u64::from(batch))
}

impl Server {
    pub(crate) fn start() -> io::Result<Server> {
        let http = Arc::new(tiny_http::Server::http("127.0.0.1:0").map_err(io::Error::other)?);
        let address =
            http.server_addr().to_ip().ok_or_else(|| io::Error::other("the server has no port"))?;
        let state = Arc::new(Mutex::new(State::default()));
        let threads = (0..THREADS)
            .map(|_| {
                let (http, state) = (Arc::clone(&http), Arc::clone(&state));
                thread::spawn(move || {
                    while let Ok(request) = http.recv() {
                        answer(request, &state);
                    }
                })
            })
            .collect();
        Ok(Server { http, state, address, threads })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the requests since the last call, and resets the server.
    pub(crate) fn take(&self) -> Vec<Received> {
        let state = std::mem::take(&mut *self.state.lock().expect(NO_PANIC));
        state.received
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.threads.iter().for_each(|_| self.http.unblock());
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                eprintln!("error: a thread of the server panicked");
            }
        }
    }
}

const NO_PANIC: &str = "no thread panics while it holds the lock";

/// Returns the largest number of requests in the time of a limit.
pub(crate) fn peak(received: &[Received], limit: &Limit) -> usize {
    let mut times: Vec<Instant> = received.iter().map(|request| request.at).collect();
    times.sort_unstable();
    let within = |&start: &Instant| {
        times.partition_point(|&at| at < start + limit.within)
            - times.partition_point(|&at| at < start)
    };
    times.iter().map(within).max().unwrap_or(0)
}

fn answer(request: Request, state: &Mutex<State>) {
    let Some((batch, index)) = parse(request.url()) else {
        return send(request, Response::from_string("no such item").with_status_code(404));
    };
    let mut locked = state.lock().expect(NO_PANIC);
    let reaction = locked.admit(batch, index);
    let status = match reaction {
        None => REFUSED,
        Some(Reaction::Answer | Reaction::Late(_)) => 200,
        Some(Reaction::Unavailable) => 503,
        Some(Reaction::Missing) => 404,
        Some(Reaction::NoAnswer) => NO_ANSWER,
    };
    locked.received.push(Received { at: Instant::now(), status });
    if status == NO_ANSWER {
        return locked.unanswered.push(request);
    }
    drop(locked);
    let respond = move || match status {
        200 => send(request, Response::from_string(content(batch, index.into()))),
        REFUSED => {
            let header = Header::from_bytes("Retry-After", "1").expect("the header is ASCII");
            send(
                request,
                Response::from_string("too many requests")
                    .with_status_code(REFUSED)
                    .with_header(header),
            );
        }
        _ => send(request, Response::from_string("no content").with_status_code(status)),
    };
    match reaction {
        Some(Reaction::Late(time)) => _ = thread::spawn(move || (thread::sleep(time), respond())),
        _ => respond(),
    }
}

fn send(request: Request, response: Response<io::Cursor<Vec<u8>>>) {
    // An error means that the client has closed the connection.
    _ = request.respond(response);
}

/// Parses `/BATCH/INDEX`.
fn parse(url: &str) -> Option<(u32, u32)> {
    let (batch, index) = url.strip_prefix('/')?.split_once('/')?;
    Some((batch.parse().ok()?, index.parse().ok()?))
}

impl State {
    /// Returns the reaction to a request, or `None` if the request exceeds the limit.
    fn admit(&mut self, batch: u32, index: u32) -> Option<Reaction> {
        if LIMITS.iter().any(|limit| self.is_reached(limit)) {
            return None;
        }
        let attempts = self.attempts.entry((batch, index)).or_default();
        *attempts += 1;
        Some(reaction(index, *attempts))
    }

    fn is_reached(&self, limit: &Limit) -> bool {
        let now = Instant::now();
        let is_recent = |request: &&Received| now.duration_since(request.at) < limit.within;
        let recent = self.received.iter().rev().take_while(is_recent);
        recent.filter(|request| request.status != REFUSED).count() >= limit.requests
    }
}

/// Returns the reaction to the given attempt for an item, which is the same in each run.
fn reaction(index: u32, attempt: u32) -> Reaction {
    match (index * 37 % 100, attempt) {
        (3..6, 1) | (3, 2) => Reaction::Unavailable,
        (11, 1 | 2) => Reaction::NoAnswer,
        (20..24, 1) => Reaction::Late(Duration::from_millis(150)),
        (31, 1) => Reaction::Late(Duration::from_millis(900)),
        (44, _) => Reaction::Missing,
        _ => Reaction::Answer,
    }
}
