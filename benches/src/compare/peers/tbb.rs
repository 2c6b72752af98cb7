//! oneTBB: `parallel_for` over an array for a batch, and `parallel_pipeline` for a stream.
//!
//! The tokens of the pipeline are slices, as the documentation advises for small items. The caller
//! is one of the threads. The C++ code calls back once per range or slice, not once per item.

use std::cell::UnsafeCell;
use std::ffi::c_void;
use std::marker::PhantomData;
use std::ptr::{self, NonNull};

use super::{Collect, Stream};
use crate::compare::job::Job;

type Arenas = c_void;
type Context = c_void;
type Token = c_void;

unsafe extern "C" {
    fn compare_tbb_new(threads: i32) -> *mut Arenas;
    fn compare_tbb_delete(arenas: *mut Arenas);
    fn compare_tbb_for(
        arenas: *mut Arenas,
        count: usize,
        context: *const Context,
        run: unsafe extern "C" fn(*const Context, usize, usize),
    );
    fn compare_tbb_pipeline(
        arenas: *mut Arenas,
        tokens: usize,
        context: *const Context,
        pull: unsafe extern "C" fn(*const Context) -> *mut Token,
        run: unsafe extern "C" fn(*const Context, *mut Token),
        take: unsafe extern "C" fn(*const Context, *mut Token),
    );
}

pub(crate) struct Tbb(NonNull<Arenas>);

// SAFETY: any thread may delete the arenas.
unsafe impl Send for Tbb {}
// SAFETY: each calling thread uses its own arena.
unsafe impl Sync for Tbb {}

impl Tbb {
    /// Creates a peer with `threads` threads, including the caller.
    pub(crate) fn new(threads: usize) -> Tbb {
        let threads = i32::try_from(threads).expect("a machine can run the threads");
        // SAFETY: the function has no conditions.
        let arenas = unsafe { compare_tbb_new(threads) };
        Tbb(NonNull::new(arenas).expect("new never returns null"))
    }
}

impl Drop for Tbb {
    fn drop(&mut self) {
        // SAFETY: the pointer is from `compare_tbb_new`, and this is its last use.
        unsafe { compare_tbb_delete(self.0.as_ptr()) };
    }
}

/// The memory for the results of a batch, and its job.
struct Output<U, J> {
    first: *mut U,
    job: J,
}

impl<U, J: Job<u64, U>> Output<U, J> {
    /// Runs the job on a range of indices.
    ///
    /// # Safety
    ///
    /// `context` points to an `Output` with memory for the results from `start` to `end`. No other
    /// thread writes these.
    unsafe extern "C" fn run(context: *const Context, start: usize, end: usize) {
        // SAFETY: `context` points to an `Output`.
        let output = unsafe { &*context.cast::<Self>() };
        for index in start..end {
            let result = (output.job)(index as u64);
            // SAFETY: the memory contains the range.
            let slot = unsafe { output.first.add(index) };
            // SAFETY: no other thread writes the results of the range.
            unsafe { slot.write(result) };
        }
    }
}

impl Collect for Tbb {
    fn collect<U: Send + 'static>(&self, count: u64, job: impl Job<u64, U>) -> Vec<U> {
        /// Returns `Output::run` for the type of the job, which has no name.
        fn run_of<U, J: Job<u64, U>>(
            _: &Output<U, J>,
        ) -> unsafe extern "C" fn(*const Context, usize, usize) {
            Output::<U, J>::run
        }
        let count = usize::try_from(count).expect("the results fit in memory");
        let mut results = Vec::with_capacity(count);
        let output = Output { first: results.as_mut_ptr(), job };
        let (context, run) = (ptr::from_ref(&output).cast(), run_of(&output));
        // SAFETY: oneTBB gives each index below `count` to one thread, and returns when the job has
        // run on all of them.
        unsafe { compare_tbb_for(self.0.as_ptr(), count, context, run) };
        // SAFETY: the job has written the results of all indices.
        unsafe { results.set_len(count) };
        results
    }
}

/// The data of the three filters of a pipeline. The first filter and the last filter run on one
/// thread at a time and in order. The filter between them uses only the job.
struct Filters<'s, I, U, S, J, F> {
    source: UnsafeCell<S>,
    slice: usize,
    job: J,
    sink: UnsafeCell<&'s mut F>,
    items: PhantomData<(I, U)>,
}

/// A token: some items, and later their results.
struct Slice<I, U> {
    items: Vec<I>,
    results: Vec<U>,
}

impl<I, U, S: Iterator<Item = I>, J: Job<I, U>, F: FnMut(U)> Filters<'_, I, U, S, J, F> {
    /// Pulls the items of a token. Returns null at the end.
    ///
    /// # Safety
    ///
    /// `context` points to a `Self`, and no other thread runs this filter.
    unsafe extern "C" fn pull(context: *const Context) -> *mut Token {
        // SAFETY: `context` points to a `Self`.
        let filters = unsafe { &*context.cast::<Self>() };
        // SAFETY: only this filter uses the source, and no other thread runs it.
        let source = unsafe { &mut *filters.source.get() };
        let items: Vec<I> = source.take(filters.slice).collect();
        if items.is_empty() {
            return ptr::null_mut();
        }
        Box::into_raw(Box::new(Slice::<I, U> { items, results: Vec::new() })).cast()
    }

    /// Runs the job on the items of a token.
    ///
    /// # Safety
    ///
    /// `context` points to a `Self`. `token` is from `pull`, and no other thread uses it.
    unsafe extern "C" fn run(context: *const Context, token: *mut Token) {
        // SAFETY: `context` points to a `Self`.
        let filters = unsafe { &*context.cast::<Self>() };
        // SAFETY: the token is from `pull`, and no other thread uses it.
        let slice = unsafe { &mut *token.cast::<Slice<I, U>>() };
        slice.results = slice.items.drain(..).map(filters.job).collect();
    }

    /// Delivers the results of a token and frees it.
    ///
    /// # Safety
    ///
    /// `context` points to a `Self`, and no other thread runs this filter. `token` is from `pull`,
    /// and this is its last use.
    unsafe extern "C" fn take(context: *const Context, token: *mut Token) {
        // SAFETY: `context` points to a `Self`.
        let filters = unsafe { &*context.cast::<Self>() };
        // SAFETY: `pull` made the token from a box, and this is the token's last use.
        let slice = unsafe { Box::from_raw(token.cast::<Slice<I, U>>()) };
        // SAFETY: only this filter uses the sink, and no other thread runs it.
        let sink = unsafe { &mut **filters.sink.get() };
        slice.results.into_iter().for_each(sink);
    }

    fn pipe(self, arenas: &Tbb, tokens: usize) {
        let context = ptr::from_ref(&self).cast();
        let (pull, run, take) = (Self::pull, Self::run, Self::take);
        // SAFETY: the first filter and the last filter are serial, and a token is in one filter at
        // a time. The call returns when all tokens have left the pipeline. The bounds of `Stream`
        // allow all values that move to another thread to do so.
        unsafe { compare_tbb_pipeline(arenas.0.as_ptr(), tokens, context, pull, run, take) };
    }
}

impl Stream for Tbb {
    fn stream<I, U>(
        &self,
        source: impl Iterator<Item = I> + Send + 'static,
        window: usize,
        job: impl Job<I, U>,
        sink: &mut (impl FnMut(U) + Send),
    ) where
        I: Send + 'static,
        U: Send + 'static,
    {
        // About 16 tokens: several per thread, as the documentation advises.
        let slice = (window / 16).max(1);
        let filters = Filters {
            source: UnsafeCell::new(source.fuse()),
            slice,
            job,
            sink: UnsafeCell::new(sink),
            items: PhantomData,
        };
        filters.pipe(self, window / slice);
    }
}
