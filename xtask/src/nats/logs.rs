//! The logs of processes: a file for each name, in one folder.
//!
//! A process writes its own lines there. This program adds what it did to the process, with the
//! time of day (UTC).

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

pub(super) struct Logs {
    folder: PathBuf,
}

impl Logs {
    pub(super) fn new(folder: &Path) -> Logs {
        Logs { folder: folder.to_owned() }
    }

    /// Returns the end of a log, to which a process may write.
    pub(super) fn open(&self, name: &str) -> io::Result<File> {
        File::options().append(true).create(true).open(self.path(name))
    }

    /// Adds a line about a process.
    pub(super) fn note(&self, name: &str, text: &str) -> io::Result<()> {
        let now = SystemTime::UNIX_EPOCH.elapsed().map_err(io::Error::other)?;
        let (seconds, millis) = (now.as_secs(), now.subsec_millis());
        let (hours, minutes) = (seconds / 3600 % 24, seconds / 60 % 60);
        // One write, so that no line of the process comes between.
        let line = format!("{hours:02}:{minutes:02}:{:02}.{millis:03} {text}\n", seconds % 60);
        self.open(name)?.write_all(line.as_bytes())
    }

    /// Returns the last lines of a log.
    pub(super) fn last_lines(&self, name: &str, most: usize) -> io::Result<Vec<String>> {
        let bytes = match fs::read(self.path(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            result => result?,
        };
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = text.lines().collect();
        Ok(lines[lines.len().saturating_sub(most)..].iter().map(ToString::to_string).collect())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.log"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_and_lines_of_a_process_share_a_log() {
        let folder = tempfile::tempdir().unwrap();
        let logs = Logs::new(folder.path());
        assert!(logs.last_lines("some", 2).unwrap().is_empty());
        logs.note("some", "starts").unwrap();
        logs.open("some").unwrap().write_all(b"its own line\n").unwrap();
        logs.note("some", "ends").unwrap();
        logs.note("other", "starts").unwrap();
        let lines = logs.last_lines("some", 2).unwrap();
        assert_eq!(lines[0], "its own line");
        assert!(lines.len() == 2 && lines[1].ends_with(" ends"), "{lines:?}");
        assert_eq!(logs.last_lines("some", 9).unwrap().len(), 3);
    }
}
