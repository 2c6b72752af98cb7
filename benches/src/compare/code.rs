//! Counts the lines of code of each peer's adapter: what a user of the peer writes.
//!
//! The bodies of the adapter's functions count, and the types and functions that they need besides
//! the peer's crate. Blank lines, comments, imports and the signatures of adapters do not count.
//! Neither does the start of threads, if a crate has a call for it.

use Item::{Body, Whole};

/// An item of a source file, by the beginning of its first line.
enum Item {
    /// All lines count.
    Whole(&'static str),
    /// The body of the function counts, or the body of the only function of an `impl`.
    Body(&'static str),
}

/// A source file, and its items that belong to an adapter.
type Part = (&'static str, &'static [Item]);

const OURS: &str = include_str!("peers/ours.rs");
const RAYON: &str = include_str!("peers/rayon.rs");
const GZP: &str = include_str!("peers/gzp.rs");
const ASYNC: &str = include_str!("workloads/async_jobs.rs");

const CHANNELS: Part =
    (include_str!("peers/channel_heap.rs"), &[Body("impl Stream for ChannelHeap")]);
const HEAP: Part = (
    include_str!("peers/channel_heap.rs"),
    &[
        Whole("pub(crate) struct Reorder<"),
        Whole("impl<U> Reorder<U>"),
        Whole("pub(crate) struct Indexed<"),
        Whole("impl<U> Ord for Indexed<"),
        Whole("impl<U> PartialOrd for Indexed<"),
        Whole("impl<U> PartialEq for Indexed<"),
        Whole("impl<U> Eq for Indexed<"),
    ],
);
const POOL: Part = (
    include_str!("peers/pool.rs"),
    &[Whole("type Boxed"), Whole("pub(crate) struct Pool"), Whole("impl Pool"), Whole("impl Drop")],
);

/// The adapters whose lines are counted: for each kind of workload, the usual tools.
const ADAPTERS: &[(&str, &str, &[Part])] = &[
    ("collect", "ours", &[(OURS, &[Body("impl Collect for Ours {")])]),
    ("collect", "ours-iterator", &[(OURS, &[Body("impl Collect for OursIterator")])]),
    ("collect", "rayon", &[(RAYON, &[Body("impl Collect for Rayon")])]),
    ("stream", "ours", &[(OURS, &[Body("impl Stream for Ours {")])]),
    (
        "stream",
        "pariter",
        &[(include_str!("peers/pariter.rs"), &[Body("impl Stream for Pariter")])],
    ),
    (
        "stream",
        "rayon-chunked",
        &[(RAYON, &[Body("impl Stream for Rayon {"), Whole("fn by_windows<")])],
    ),
    (
        "stream",
        "tokio-buffered",
        &[(include_str!("peers/tokio.rs"), &[Body("impl Stream for Tokio")])],
    ),
    ("stream", "channel-heap", &[CHANNELS, HEAP, POOL]),
    ("queue", "ours", &[(OURS, &[Body("impl OursQueue")])]),
    // The closures are boxed.
    (
        "queue",
        "channel-heap",
        &[CHANNELS, HEAP, POOL, (include_str!("workloads/queue.rs"), &[Whole("type Task")])],
    ),
    ("weight", "ours", &[(OURS, &[Body("impl Weighed for Ours")])]),
    (
        "weight",
        "semaphore-heap",
        &[
            (
                include_str!("peers/semaphore_heap.rs"),
                &[
                    Body("impl Weighed for SemaphoreHeap"),
                    Whole("struct Semaphore {"),
                    Whole("impl Semaphore {"),
                ],
            ),
            HEAP,
            POOL,
        ],
    ),
    ("io", "ours", &[(OURS, &[Body("impl Gzip for OursWriter")])]),
    (
        "io",
        "gzp",
        &[(
            GZP,
            &[Whole("struct Shared"), Whole("impl Write for Shared"), Body("impl Gzip for Gzp")],
        )],
    ),
    ("io", "noodles-bgzf", &[(include_str!("peers/noodles.rs"), &[Body("impl Gzip for Noodles")])]),
    ("async", "ours", &[(ASYNC, &[Body("fn ours(")])]),
    ("async", "buffered", &[(ASYNC, &[Body("fn buffered(")])]),
    ("async", "tokio-buffered", &[(ASYNC, &[Body("fn tokio_buffered(")])]),
];

/// Returns the number of lines of code of a peer's adapter, if it is one of those that are counted.
pub(crate) fn lines(workload: &str, peer: &str) -> Option<usize> {
    let kind = match workload.split('-').next()? {
        "tiny" => "collect",
        "uneven" if workload == "uneven-collect" => "collect",
        "bounded" | "uneven" => "stream",
        other => other,
    };
    let (.., parts) = ADAPTERS.iter().find(|(of, name, _)| (*of, *name) == (kind, peer))?;
    let items = parts.iter().flat_map(|(source, items)| items.iter().map(move |it| (source, it)));
    Some(items.map(|(source, item)| count(source, item)).sum())
}

/// Returns the number of lines of code of an item. The source is formatted by `rustfmt`.
///
/// # Panics
///
/// If the source has no such item.
fn count(source: &str, item: &Item) -> usize {
    let (Whole(start) | Body(start)) = *item;
    let lines: Vec<&str> = source.lines().collect();
    let found = lines.iter().position(|line| line.starts_with(start));
    let first = found.unwrap_or_else(|| panic!("no item begins with `{start}`"));
    let mut item_lines = &lines[first..=first + end(&lines[first..])];
    if let Body(_) = item {
        let function = |line: &&str| {
            let line = line.trim_start().trim_start_matches("pub(crate) ");
            line.starts_with("fn ")
        };
        let of_function = item_lines.iter().position(function).expect("a function");
        let function = &item_lines[of_function..=of_function + end(&item_lines[of_function..])];
        let signature = function.iter().position(|line| line.ends_with('{')).expect("a body");
        item_lines = &function[signature + 1..function.len() - 1];
    }
    let is_code = |line: &&&str| !line.trim().is_empty() && !line.trim_start().starts_with("//");
    item_lines.iter().filter(is_code).count()
}

/// Returns the place of the last line of the item that begins with the first of these lines: the
/// first line of the same indentation that ends the item.
fn end(lines: &[&str]) -> usize {
    let indentation = |line: &str| line.len() - line.trim_start().len();
    let own = indentation(lines[0]);
    let is_end = |line: &&str| indentation(line) == own && line.ends_with(['}', ';']);
    lines.iter().position(is_end).expect("an end")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "
/// Documentation.
pub(crate) struct Pair(u8, u8);

impl Pair {
    // A comment.
    pub(crate) fn sum<T>(&self) -> u8
    where
        T: Copy,
    {
        // Another one.
        let Pair(a, b) = self;

        a + b
    }
}

impl Drop for Pair {}

fn short(n: u8) -> u8 {
    n
}
";

    #[test]
    fn lines_of_code_are_counted_without_comments_and_signatures() {
        let counts = [
            (Whole("pub(crate) struct Pair"), 1),
            (Whole("impl Pair"), 9),
            (Body("impl Pair"), 2),
            (Whole("impl Drop"), 1),
            (Whole("fn short"), 3),
            (Body("fn short"), 1),
        ];
        for (item, lines) in counts {
            let (Whole(start) | Body(start)) = item;
            assert_eq!(count(SOURCE, &item), lines, "{start}");
        }
    }

    #[test]
    fn every_adapter_has_lines_and_a_channel_with_a_heap_has_many() {
        for &(kind, peer, _) in ADAPTERS {
            let workload = match kind {
                "collect" => "tiny",
                "stream" => "uneven-1024",
                "async" => "async-busy",
                other => other,
            };
            let lines = lines(workload, peer).expect("it is counted");
            assert!((1..150).contains(&lines), "{kind}, {peer}: {lines}");
        }
        let [ours, heap] = ["ours", "channel-heap"].map(|peer| lines("queue", peer).unwrap());
        assert!(5 * ours < heap, "{ours} and {heap}");
        assert_eq!(lines("idle", "ours"), None);
        assert_eq!(lines("tiny", "flags"), None);
    }
}
