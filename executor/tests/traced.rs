//! What `tracing` is told.

mod common;

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{Door, executor};
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
fn calls_turns_and_what_is_given_up_are_told() {
    let lines = Lines::default();
    let writer = lines.clone();
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::DEBUG)
        .with_span_events(FmtSpan::NEW)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .init();
    let (executor, door) = (executor(2), Door::default());
    let inside = door.clone();
    let batch = executor.batch(0..3).item_timeout(Duration::from_millis(10));
    let handle = batch.submit(move |n, _| {
        if n == 1 {
            inside.pass();
        }
        Ok::<_, ()>(n)
    });
    assert_eq!(handle.unwrap().wait().into_outcomes().len(), 3);
    door.open();
    assert_eq!(executor.map_indexed(100_000, |n| n).len(), 100_000);
    assert!(executor.shutdown(Shutdown::Drain, None).is_complete());
    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    for told in [
        "opened call=1",
        "turn{worker=",
        "gave up call=1 item=1 why=ItemDeadline",
        "closed call=1",
        "batch{items=",
        "shut down, with so many left calls=0 workers=0",
    ] {
        assert!(text.contains(told), "{told}: {text}");
    }
}
