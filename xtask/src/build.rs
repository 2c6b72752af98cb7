//! Runs cargo and the programs that it builds.

use std::env;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};

/// Returns the folder for builds, as an absolute path.
pub(crate) fn target() -> PathBuf {
    let target = env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    env::current_dir().unwrap_or_default().join(target)
}

/// Returns the caller's compiler flags with these behind them.
pub(crate) fn flags(more: &str) -> String {
    let flags = env::var("RUSTFLAGS").unwrap_or_default();
    format!("{flags} {more}").trim().to_owned()
}

/// Returns a command for cargo, without the variables that cargo itself has set for this process.
pub(crate) fn cargo() -> Command {
    let mut cargo = Command::new("cargo");
    forget_cargo(&mut cargo);
    cargo
}

/// Takes away the variables that cargo has set for this process. The command then runs as if a user
/// had started it.
pub(crate) fn forget_cargo(command: &mut Command) {
    for (name, _) in env::vars_os() {
        let own = name.to_str().is_some_and(|name| {
            name == "CARGO" || name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")
        });
        if own {
            command.env_remove(name);
        }
    }
}

/// Runs `cargo test --no-run`, and returns the one program that it has built.
pub(crate) fn test_program(cargo: &mut Command) -> anyhow::Result<PathBuf> {
    let output = cargo.output().context("cargo")?;
    let log = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "cargo failed:\n{log}");
    executables(&log).pop().with_context(|| format!("cargo names no program:\n{log}"))
}

/// Returns the paths in cargo's lines `Executable tests/models.rs (path)`.
pub(crate) fn executables(log: &str) -> Vec<PathBuf> {
    let lines = log.lines().filter(|line| line.trim_start().starts_with("Executable "));
    lines.filter_map(|line| Some(line.rsplit_once('(')?.1.strip_suffix(')')?.into())).collect()
}

/// Waits for a child. Ends it after the limit, and returns `None` then.
pub(crate) fn wait(
    child: &mut Child,
    limit: Option<Duration>,
) -> anyhow::Result<Option<ExitStatus>> {
    let Some(limit) = limit else { return Ok(Some(child.wait()?)) };
    let begin = Instant::now();
    while begin.elapsed() < limit {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        thread::sleep(Duration::from_millis(10));
    }
    child.kill()?;
    child.wait()?;
    Ok(None)
}

/// Runs a program with its output in a file. Returns `None` if it takes longer than the limit.
pub(crate) fn run_logged(
    command: &mut Command,
    log: &Path,
    limit: Option<Duration>,
) -> anyhow::Result<Option<ExitStatus>> {
    let file = File::create(log).with_context(|| log.display().to_string())?;
    let mut child = command.stdout(file.try_clone()?).stderr(file).spawn()?;
    wait(&mut child, limit)
}

/// Returns the message of the first panic of a model.
///
/// Returns `None` if the model only counted fewer executions than it should have. A change that
/// shortens an exploration was not noticed.
pub(crate) fn panic_message(log: &str) -> Option<&str> {
    let mut lines = log.lines().skip_while(|line| !line.contains(" panicked at "));
    lines.next()?;
    lines.next().filter(|why| !why.is_empty() && !why.contains("fewer than"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn program_of_a_test_is_found() {
        let log = "   Compiling a v0.1.0\n    Finished `release` profile\n  \
                   Executable tests/models/main.rs (/t/loom/release/deps/models-1a2b)\n";
        assert_eq!(executables(log), [PathBuf::from("/t/loom/release/deps/models-1a2b")]);
        assert!(executables("    Finished\n").is_empty());
    }

    #[test]
    fn children_are_ended_after_the_limit() {
        let mut quick = Command::new("true").spawn().unwrap();
        let status = wait(&mut quick, Some(Duration::from_secs(60))).unwrap();
        assert!(status.unwrap().success());
        let mut slow = Command::new("sleep").arg("60").spawn().unwrap();
        assert!(wait(&mut slow, Some(Duration::from_millis(20))).unwrap().is_none());
    }

    #[test]
    fn only_a_model_that_fails_by_a_panic_has_a_message() {
        let log = "running 1 test\nthread 'm' panicked at a.rs:1:2:\nassertion failed: x\nnote\n";
        assert_eq!(panic_message(log), Some("assertion failed: x"));
        let fewer = "thread 'm' panicked at a.rs:1:2:\n5 executions, fewer than 10\n";
        assert_eq!(panic_message(fewer), None);
        assert_eq!(panic_message("no word\n"), None);
        assert_eq!(panic_message("thread 'm' panicked at a.rs:1:2:\n"), None);
        assert_eq!(panic_message("thread 'm' panicked at a.rs:1:2:\n\n"), None);
    }
}
