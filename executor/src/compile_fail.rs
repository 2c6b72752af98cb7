//! Programs that must not compile. Beside each there is a program that compiles, and that differs
//! in the tested property alone.
//!
//! Only a nightly toolchain checks the codes of the errors. The programs that compile show that the
//! rest of each case is correct.

/// Senders and places are sent only if the items and the outcomes can be.
///
/// ```compile_fail,E0277
/// fn send<T: Send>() {}
/// send::<reorder_executor::QueueSender<std::rc::Rc<u8>, u8>>();
/// ```
/// ```compile_fail,E0277
/// fn send<T: Send>() {}
/// send::<reorder_executor::QueueSender<u8, std::rc::Rc<u8>>>();
/// ```
/// ```compile_fail,E0277
/// fn sync<T: Sync>() {}
/// sync::<reorder_executor::QueueSender<std::rc::Rc<u8>, u8>>();
/// ```
///
/// They need not be `Sync`. A sender can be shared between threads, and a place can be sent.
///
/// ```
/// use std::cell::Cell;
/// use reorder_executor::{Place, QueueSender};
///
/// fn send<T: Send>() {}
/// fn sync<T: Sync>() {}
/// send::<QueueSender<Cell<u8>, Cell<u8>>>();
/// sync::<QueueSender<Cell<u8>, Cell<u8>>>();
/// send::<Place<Cell<u8>, Cell<u8>>>();
/// ```
struct SentSenders;

/// The job of a queue may outlive its caller, so it does not borrow. Neither do the items.
///
/// ```compile_fail,E0373
/// let executor = reorder_executor::Executor::builder().workers(1).build().unwrap();
/// let factor = 3;
/// let (sender, results) = executor.queue(|n: u32| n * &factor).build().unwrap();
/// ```
/// ```compile_fail,E0597
/// let executor = reorder_executor::Executor::builder().workers(1).build().unwrap();
/// let (sender, results) = executor.queue(|text: &str| text.len()).build().unwrap();
/// let line = String::from("a line");
/// sender.send(&line).unwrap();
/// ```
/// ```compile_fail,E0373
/// let executor = reorder_executor::Executor::builder().workers(1).build().unwrap();
/// let (sender, results) = executor.task_queue::<u32>().build().unwrap();
/// let factor = 3;
/// sender.push(|| 4 * factor).unwrap();
/// ```
///
/// ```
/// let executor = reorder_executor::Executor::builder().workers(1).build().unwrap();
/// let factor = 3;
/// let (sender, results) = executor.queue(move |n: u32| n * factor).build().unwrap();
/// let (sender, results) = executor.queue(|text: &str| text.len()).build().unwrap();
/// sender.send("a line").unwrap();
/// let (sender, results) = executor.task_queue::<u32>().build().unwrap();
/// sender.push(move || 4 * factor).unwrap();
/// ```
struct BorrowedByQueue;

/// A place is completed once.
///
/// ```compile_fail,E0382
/// # let executor = reorder_executor::Executor::builder().workers(1).build().unwrap();
/// let (sender, results) = executor.queue(|n: u32| n).build().unwrap();
/// let place = sender.reserve().unwrap();
/// place.complete(Ok(1)).unwrap();
/// place.complete(Ok(2)).unwrap();
/// ```
/// ```compile_fail,E0277
/// fn clone<T: Clone>() {}
/// clone::<reorder_executor::Place<u8, u8>>();
/// ```
///
/// ```
/// # let executor = reorder_executor::Executor::builder().workers(1).build().unwrap();
/// let (sender, results) = executor.queue(|n: u32| n).build().unwrap();
/// let place = sender.reserve().unwrap();
/// place.complete(Ok(1)).unwrap();
/// fn clone<T: Clone>() {}
/// clone::<reorder_executor::QueueSender<u8, u8>>();
/// ```
struct CompletedOnce;

/// A writer that was finished writes no more.
///
/// ```compile_fail,E0382
/// use std::io::Write;
/// # let executor = reorder_executor::Executor::builder().workers(1).build().unwrap();
/// let mut writer = reorder_executor::OrderedWriter::new(&executor, Vec::new(), 4, |block, out| {
///     out.extend_from_slice(block);
///     Ok(())
/// });
/// writer.finish().unwrap();
/// writer.write_all(b"late").unwrap();
/// ```
///
/// ```
/// use std::io::Write;
/// # let executor = reorder_executor::Executor::builder().workers(1).build().unwrap();
/// let mut writer = reorder_executor::OrderedWriter::new(&executor, Vec::new(), 4, |block, out| {
///     out.extend_from_slice(block);
///     Ok(())
/// });
/// writer.write_all(b"in time").unwrap();
/// writer.finish().unwrap();
/// ```
struct FinishedWriter;

/// The encoder of a writer runs on other threads, and may outlive the caller. The sink stays on
/// the thread of the writer, and may borrow.
///
/// ```compile_fail,E0373
/// # let executor = reorder_executor::Executor::builder().workers(1).build().unwrap();
/// let key = vec![1];
/// let writer = reorder_executor::OrderedWriter::new(&executor, Vec::new(), 4, |block, out| {
///     out.extend(block.iter().map(|byte| byte ^ key[0]));
///     Ok(())
/// });
/// ```
/// ```compile_fail,E0277
/// # let executor = reorder_executor::Executor::builder().workers(1).build().unwrap();
/// let key = std::rc::Rc::new(1);
/// let writer = reorder_executor::OrderedWriter::new(&executor, Vec::new(), 4, move |block, out| {
///     out.extend(block.iter().map(|byte| byte ^ *key));
///     Ok(())
/// });
/// ```
///
/// ```
/// # let executor = reorder_executor::Executor::builder().workers(1).build().unwrap();
/// let key = vec![1];
/// let mut sink = Vec::new();
/// let writer = reorder_executor::OrderedWriter::new(&executor, &mut sink, 4, move |block, out| {
///     out.extend(block.iter().map(|byte| byte ^ key[0]));
///     Ok(())
/// });
/// ```
struct EncoderOfWriter;

/// The input of a reader is read on other threads, and may outlive the caller.
///
/// ```compile_fail,E0597
/// # let executor = reorder_executor::Executor::builder().workers(1).build().unwrap();
/// use reorder_executor::{OrderedReader, frames_of};
/// let file = vec![0; 100];
/// let reader = OrderedReader::new(&executor, &file[..], frames_of(8), |frame, out| {
///     Ok(out.extend(frame.bytes()))
/// });
/// ```
/// ```compile_fail,E0277
/// # let executor = reorder_executor::Executor::builder().workers(1).build().unwrap();
/// use reorder_executor::{OrderedReader, frames_of};
/// let file = std::io::Cursor::new(std::rc::Rc::<[u8]>::from([0; 100]));
/// let reader = OrderedReader::new(&executor, file, frames_of(8), |frame, out| {
///     Ok(out.extend(frame.bytes()))
/// });
/// ```
///
/// ```
/// # let executor = reorder_executor::Executor::builder().workers(1).build().unwrap();
/// use reorder_executor::{OrderedReader, frames_of};
/// let file = std::io::Cursor::new(std::sync::Arc::<[u8]>::from([0; 100]));
/// let reader = OrderedReader::new(&executor, file, frames_of(8), |frame, out| {
///     Ok(out.extend(frame.bytes()))
/// });
/// ```
struct InputOfReader;

/// The items of a scoped batch outlive its scope. They may be changed again afterwards.
///
/// ```compile_fail,E0597
/// # let executor = reorder_executor::Executor::builder().workers(1).build().unwrap();
/// executor.scope(|scope| {
///     let words = vec![String::from("8")];
///     let stream = scope.batch(&words).stream(|word, _| word.parse::<u32>()).unwrap();
///     stream.count()
/// });
/// ```
/// ```compile_fail,E0499
/// use std::convert::Infallible;
/// # let executor = reorder_executor::Executor::builder().workers(1).build().unwrap();
/// let mut numbers = vec![3, 1, 2];
/// executor.scope(|scope| {
///     let stream = scope.batch(&mut numbers).stream(|n, _| Ok::<_, Infallible>(*n += 1)).unwrap();
///     numbers.iter_mut().for_each(|n| *n = 0);
///     stream.count()
/// });
/// ```
///
/// ```
/// use std::convert::Infallible;
/// # let executor = reorder_executor::Executor::builder().workers(1).build().unwrap();
/// let words = vec![String::from("8")];
/// executor.scope(|scope| {
///     let stream = scope.batch(&words).stream(|word, _| word.parse::<u32>()).unwrap();
///     stream.count()
/// });
/// let mut numbers = vec![3, 1, 2];
/// executor.scope(|scope| {
///     let stream = scope.batch(&mut numbers).stream(|n, _| Ok::<_, Infallible>(*n += 1)).unwrap();
///     stream.count()
/// });
/// numbers.iter_mut().for_each(|n| *n = 0);
/// ```
struct BorrowedByScope;

/// A guard owns its token, and is used up by `disarm`. A guard is not cloned, because each clone
/// would cancel.
///
/// ```compile_fail,E0382
/// let token = reorder_executor::CancellationToken::new();
/// let guard = token.drop_guard();
/// let child = token.child_token();
/// ```
/// ```compile_fail,E0382
/// let guard = reorder_executor::CancellationToken::new().drop_guard();
/// let token = guard.disarm();
/// drop(guard);
/// ```
/// ```compile_fail,E0277
/// fn clone<T: Clone>() {}
/// clone::<reorder_executor::CancelOnDrop>();
/// ```
///
/// ```
/// let token = reorder_executor::CancellationToken::new();
/// let guard = token.clone().drop_guard();
/// let child = token.child_token();
/// let token = guard.disarm();
/// fn clone<T: Clone>() {}
/// clone::<reorder_executor::CancellationToken>();
/// ```
struct GuardOfToken;
