//! Compresses the standard input, or a sample, to gzip in parallel.
//!
//! ```sh
//! cargo run -p reorder-executor --example compressing_write              # a sample
//! cargo run -p reorder-executor --example compressing_write -- - <IN >OUT
//! ```

use std::error::Error;
use std::io::{self, Read, Write};

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use reorder_executor::{Executor, OrderedWriter};

/// Returns a writer whose blocks of 64 KiB are members of a gzip file.
fn compressed<W: Write>(sink: W) -> OrderedWriter<W> {
    OrderedWriter::new(Executor::global(), sink, 64 << 10, |block, out| {
        let mut member = GzEncoder::new(out, Compression::default());
        member.write_all(block)?;
        member.finish()?;
        Ok(())
    })
}

fn main() -> Result<(), Box<dyn Error>> {
    if std::env::args().nth(1).as_deref() == Some("-") {
        let mut writer = compressed(io::stdout());
        io::copy(&mut io::stdin().lock(), &mut writer)?;
        writer.finish()?;
        return Ok(());
    }
    let mut writer = compressed(Vec::new());
    (0..50_000).try_for_each(|line| writeln!(writer, "line {line}"))?;
    let file = writer.finish()?;

    let mut text = String::new();
    MultiGzDecoder::new(&file[..]).read_to_string(&mut text)?;
    println!("{} bytes became {}", text.len(), file.len());
    assert_eq!(text.lines().count(), 50_000);
    assert!(file.len() < text.len());
    Ok(())
}
