//! Checks of an `OrderedWriter` and of an `OrderedReader` after their first error.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part of it")]

use std::io::{self, BufRead, Error, ErrorKind, Read, Write};

use reorder_executor::{BlockSink, OrderedReader, OrderedWriter};

/// Checks the kind and the text of an error.
pub fn assert_error(error: &Error, kind: ErrorKind, text: &str) {
    assert_eq!((error.kind(), error.to_string()), (kind, text.to_owned()));
}

fn assert_each_fails<const N: usize>(results: [io::Result<()>; N], kind: ErrorKind, text: &str) {
    results.into_iter().for_each(|result| assert_error(&result.unwrap_err(), kind, text));
}

/// Checks that every later call fails, with the kind and the text of the first error.
pub fn assert_writer_broken<W: BlockSink<T>, T: Send>(
    writer: &mut OrderedWriter<W, T>,
    kind: ErrorKind,
    text: &str,
) {
    let text = format!("the writer has failed before: {text}");
    for _ in 0..2 {
        let results = [
            writer.write(b"more").map(drop),
            writer.write(b"").map(drop),
            writer.flush(),
            writer.try_finish(),
        ];
        assert_each_fails(results, kind, &text);
    }
}

/// Checks that every later call fails, with the kind and the text of the first error.
pub fn assert_reader_broken(reader: &mut OrderedReader, kind: ErrorKind, text: &str) {
    let text = format!("the reader has failed before: {text}");
    for _ in 0..2 {
        let results = [reader.read(&mut [0]).map(drop), reader.fill_buf().map(drop)];
        assert_each_fails(results, kind, &text);
        // A caller that repeats interrupted calls ends as well.
        reader.read_to_end(&mut Vec::new()).unwrap_err();
        assert_eq!(reader.read(&mut []).unwrap(), 0);
    }
}
