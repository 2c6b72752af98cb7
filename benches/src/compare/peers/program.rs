//! `pigz` and `gzip`: programs of the system that compress files.

use std::io::Write;
use std::process::{Command, Output, Stdio};
use std::thread;

use crate::compare::files::File;

pub(crate) struct Program {
    name: &'static str,
    threads: usize,
}

impl Program {
    /// Returns the program if it is installed.
    pub(crate) fn find(name: &'static str, threads: usize) -> Option<Program> {
        let version = Command::new(name).arg("--version").stdout(Stdio::null()).status();
        version.is_ok_and(|status| status.success()).then_some(Program { name, threads })
    }

    /// Compresses the files and returns the output.
    pub(crate) fn output(&self, files: &[File]) -> Result<Vec<u8>, String> {
        let Output { status, stdout, .. } = self.with_name(self.command(files).output())?;
        if status.success() { Ok(stdout) } else { Err(format!("{}: {status}", self.name)) }
    }

    /// Compresses the files and discards the output.
    pub(crate) fn run(&self, files: &[File]) -> Result<(), String> {
        let status = self.with_name(self.command(files).stdout(Stdio::null()).status())?;
        if status.success() { Ok(()) } else { Err(format!("{}: {status}", self.name)) }
    }

    /// Decompresses what gzip can read.
    pub(crate) fn decompressed(&self, bytes: &[u8]) -> Result<Vec<u8>, String> {
        let mut command = Command::new(self.name);
        command.arg("-dc").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = self.with_name(command.spawn())?;
        let mut input = child.stdin.take().expect("it is piped");
        let output = thread::scope(|scope| {
            scope.spawn(move || input.write_all(bytes));
            child.wait_with_output()
        });
        let Output { status, stdout, .. } = self.with_name(output)?;
        if status.success() { Ok(stdout) } else { Err(format!("{} -d: {status}", self.name)) }
    }

    fn command(&self, files: &[File]) -> Command {
        let mut command = Command::new(self.name);
        // To standard output, without names and times, at the level of the other peers.
        command.args(["-c", "-n", "-6"]);
        if self.name == "pigz" {
            command.arg("-p").arg(self.threads.to_string());
        }
        command.arg("--").args(files.iter().map(|file| &file.path));
        command
    }

    /// Adds the name of the program to an error.
    fn with_name<T>(&self, result: std::io::Result<T>) -> Result<T, String> {
        result.map_err(|error| format!("{}: {error}", self.name))
    }
}
