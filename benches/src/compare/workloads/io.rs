//! Compresses text behind a `Write`, in blocks of 64 KiB, each of which is a gzip member: a writer
//! beside those of other crates. All compress by flate2, and with level 6.

use std::time::Instant;

use super::{RunComparison, THREADS};
use crate::compare::Settings;
use crate::compare::comparison::{Comparison, Extra, OURS, Round, Sample};
use crate::compare::files;
use crate::compare::peers::{Gzip, Gzp, Noodles, Ours, OursWriter, Program};

/// The size of a block, for the time per block. One peer has slightly smaller blocks.
const BLOCK: usize = 64 << 10;

pub(super) fn run(settings: &Settings, run_comparison: &mut RunComparison<'_>) {
    let text = files::text(settings.amount(32 << 20, 2 << 20));
    if text.is_empty() {
        println!("\nskipped: io: there is no text");
        return;
    }
    if Program::find("gzip", 1).is_none() {
        println!("\nskipped: io: the check by the system's gzip, which is not installed");
    }
    for threads in THREADS {
        let mut comparison = Comparison::new("io", threads, settings);
        let ours = || OursWriter(Ours::new(threads - 1, 1024));
        add_peer(&mut comparison, OURS, ours, &text);
        add_peer(&mut comparison, "gzp", || Gzp(threads), &text);
        add_peer(&mut comparison, "noodles-bgzf", || Noodles(threads), &text);
        run_comparison(comparison);
    }
}

fn add_peer<'a, P: Gzip + 'a>(
    comparison: &mut Comparison<'a>,
    peer: &'static str,
    make: impl FnOnce() -> P,
    text: &'a [u8],
) {
    let gzip = Program::find("gzip", 1);
    comparison.add_peer(peer, make, move |peer, round| {
        let start = Instant::now();
        let output = peer.gzip(text).map_err(|error| error.to_string())?;
        let nanos = start.elapsed().as_nanos() as f64 / (text.len() as f64 / BLOCK as f64);
        match (&gzip, round) {
            (Some(gzip), Round::WarmUp) if gzip.decompressed(&output)? == text => {}
            (Some(_), Round::WarmUp) => {
                return Err("the text differs after decompression by gzip".to_owned());
            }
            _ => files::check_text(&output, text)?,
        }
        let extra = Extra { bytes: Some(output.len() as u64), ..Extra::default() };
        Ok(Sample { nanos, extra })
    });
}
