//! A service with a real limit, and moods.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use tiny_http::{Header, Request, Response};

/// How many requests are answered in any stretch of so long.
pub(crate) const LIMIT: Limit = Limit { requests: 50, within: Duration::from_millis(200) };

/// Threads that answer; tiny_http has its own for the connections.
const THREADS: usize = 4;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Limit {
    pub(crate) requests: usize,
    pub(crate) within: Duration,
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a server that answers {} requests in any {:?}", self.requests, self.within)
    }
}

/// A request as the server saw it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    pub(crate) at: Instant,
    pub(crate) batch: u32,
    pub(crate) status: u16,
}

/// The status that stands for no answer at all.
pub(crate) const DEAD: u16 = 0;

#[derive(Default)]
struct State {
    seen: Vec<Seen>,
    /// How often each item was answered, or should have been.
    visits: HashMap<(u32, u32), u32>,
    /// Those that are never answered.
    held: Vec<Request>,
}

pub(crate) struct Server {
    http: Arc<tiny_http::Server>,
    state: Arc<Mutex<State>>,
    address: SocketAddr,
    threads: Vec<thread::JoinHandle<()>>,
}

/// What becomes of a request that is within the limit.
enum Mood {
    Answer,
    Late(Duration),
    Unavailable,
    Missing,
    Dead,
}

/// What an item has for content.
pub(crate) fn content(batch: u32, index: u32) -> String {
    format!("{batch}:{index}:{}", u64::from(index).pow(2) + u64::from(batch))
}

impl Server {
    pub(crate) fn start() -> io::Result<Server> {
        let http = Arc::new(tiny_http::Server::http("127.0.0.1:0").map_err(io::Error::other)?);
        let address =
            http.server_addr().to_ip().ok_or_else(|| io::Error::other("it has no port"))?;
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

    /// What it saw since it was asked last. It is as if new from then on.
    pub(crate) fn take(&self) -> Vec<Seen> {
        let state = std::mem::take(&mut *self.state.lock().expect("no panic under it"));
        state.seen
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

/// The most that it saw in any stretch of the limit's length.
pub(crate) fn busiest(seen: &[Seen]) -> usize {
    let mut times: Vec<Instant> = seen.iter().map(|seen| seen.at).collect();
    times.sort_unstable();
    let within = |&start: &Instant| {
        times.partition_point(|&at| at < start + LIMIT.within)
            - times.partition_point(|&at| at < start)
    };
    times.iter().map(within).max().unwrap_or(0)
}

fn answer(request: Request, state: &Mutex<State>) {
    let Some((batch, index)) = parse(request.url()) else {
        return send(request, Response::from_string("no such item").with_status_code(404));
    };
    let mut held = state.lock().expect("no panic under it");
    let mood = held.admit(batch, index);
    let status = match mood {
        None => 429,
        Some(Mood::Answer | Mood::Late(_)) => 200,
        Some(Mood::Unavailable) => 503,
        Some(Mood::Missing) => 404,
        Some(Mood::Dead) => DEAD,
    };
    held.seen.push(Seen { at: Instant::now(), batch, status });
    if status == DEAD {
        return held.held.push(request);
    }
    drop(held);
    let respond = move || match status {
        200 => send(request, Response::from_string(content(batch, index))),
        429 => {
            let header = Header::from_bytes("Retry-After", "1").expect("it is ASCII");
            send(
                request,
                Response::from_string("slower").with_status_code(429).with_header(header),
            );
        }
        _ => send(request, Response::from_string("sorry").with_status_code(status)),
    };
    match mood {
        Some(Mood::Late(time)) => _ = thread::spawn(move || (thread::sleep(time), respond())),
        _ => respond(),
    }
}

fn send(request: Request, response: Response<io::Cursor<Vec<u8>>>) {
    // Who has hung up wants no answer.
    _ = request.respond(response);
}

/// `/BATCH/INDEX`
fn parse(url: &str) -> Option<(u32, u32)> {
    let (batch, index) = url.strip_prefix('/')?.split_once('/')?;
    Some((batch.parse().ok()?, index.parse().ok()?))
}

impl State {
    /// What to do with a request that has come; `None` if there have been too many.
    fn admit(&mut self, batch: u32, index: u32) -> Option<Mood> {
        let start = Instant::now().checked_sub(LIMIT.within)?;
        let recent = self.seen.iter().rev().take_while(|seen| seen.at > start);
        if recent.filter(|seen| seen.status != 429).count() >= LIMIT.requests {
            return None;
        }
        let visits = self.visits.entry((batch, index)).or_default();
        *visits += 1;
        Some(mood(index, *visits))
    }
}

/// By chance, but always the same one.
fn mood(index: u32, visit: u32) -> Mood {
    match (index * 37 % 100, visit) {
        (3..6, 1) | (3, 2) => Mood::Unavailable,
        (11, 1) => Mood::Dead,
        (20..24, 1) => Mood::Late(Duration::from_millis(150)),
        (31, 1) => Mood::Late(Duration::from_millis(900)),
        (44, _) => Mood::Missing,
        _ => Mood::Answer,
    }
}
