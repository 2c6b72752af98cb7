//! Spans and events that the executor sends to `tracing`.

mod common;

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{Latch, executor};
use reorder_executor::Shutdown;
use tracing_subscriber::fmt::format::FmtSpan;

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn calls_and_items_that_are_given_up_are_traced() {
    let lines = Lines::default();
    let writer = lines.clone();
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::DEBUG)
        .with_span_events(FmtSpan::NEW)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .init();
    let (executor, latch) = (executor(2), Latch::default());
    let inside = latch.clone();
    let batch = executor.batch(0..3).item_timeout(Duration::from_millis(10));
    let handle = batch.submit(move |n, _| {
        if n == 1 {
            inside.wait();
        }
        Ok::<_, ()>(n)
    });
    assert_eq!(handle.unwrap().wait().into_outcomes().len(), 3);
    latch.open();
    assert_eq!(executor.map_indexed(100_000, |n| n).len(), 100_000);
    assert!(executor.shutdown(Shutdown::Drain, None).is_complete());
    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    for expected in [
        "opened call=1",
        "time_slice{worker=",
        "gave up call=1 item=1 why=ItemDeadline",
        "closed call=1",
        "batch{items=",
        "shut down, with so many left calls=0 workers=0",
    ] {
        assert!(text.contains(expected), "no `{expected}` in: {text}");
    }
}
