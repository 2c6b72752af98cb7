//! Ends the program by signals as gzip does. It removes incomplete outputs, and then the signal has
//! its usual effect. So a shell knows that the program was interrupted.

#[cfg(unix)]
mod unix {
    use std::ffi::c_int;
    use std::{io, mem, ptr, thread};

    use signal_hook::consts::{SIGHUP, SIGINT, SIGPIPE, SIGTERM};
    use signal_hook::iterator::Signals;
    use signal_hook::low_level::emulate_default_handler;

    use crate::output::remove_incomplete;

    /// Starts a thread that waits for signals.
    pub(crate) fn remove_outputs_at_signals() -> io::Result<()> {
        // `nohup` and shells ignore signals for their background jobs, which stays so.
        let handled = [SIGHUP, SIGINT, SIGTERM].into_iter().filter(|&signal| !is_ignored(signal));
        let mut signals = Signals::new(handled)?;
        thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || signals.forever().for_each(end_by))?;
        Ok(())
    }

    /// Ends the program after the reader of standard output has closed the pipe.
    pub(crate) fn end_by_closed_pipe() {
        end_by(SIGPIPE);
    }

    fn end_by(signal: c_int) {
        let _until_the_end = remove_incomplete();
        _ = emulate_default_handler(signal);
    }

    fn is_ignored(signal: c_int) -> bool {
        // SAFETY: `sigaction` is a C struct of integers and pointers, for which zeros are valid.
        let mut action: libc::sigaction = unsafe { mem::zeroed() };
        // SAFETY: the call changes no handler, and `action` is writable.
        let failed = unsafe { libc::sigaction(signal, ptr::null(), &raw mut action) } != 0;
        !failed && action.sa_sigaction == libc::SIG_IGN
    }
}

#[cfg(unix)]
pub(crate) use unix::{end_by_closed_pipe, remove_outputs_at_signals};

/// Does nothing: on this system, an interrupted program leaves its incomplete outputs.
#[cfg(not(unix))]
pub(crate) fn remove_outputs_at_signals() -> std::io::Result<()> {
    Ok(())
}

/// Does nothing: this system has no signal for a closed pipe.
#[cfg(not(unix))]
pub(crate) fn end_by_closed_pipe() {}
