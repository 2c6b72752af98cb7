//! The files of the repository.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, ensure};

/// Returns the project's files that are not links, as git knows them, with the new ones.
pub(crate) fn files() -> anyhow::Result<Vec<String>> {
    let output = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard", "-z"])
        .output()
        .context("git ls-files")?;
    ensure!(output.status.success(), "git ls-files: {}", String::from_utf8_lossy(&output.stderr));
    let mut files: Vec<String> = String::from_utf8(output.stdout)?
        .split('\0')
        .filter(|file| Path::new(file).is_file() && !Path::new(file).is_symlink())
        .map(str::to_owned)
        .collect();
    files.sort();
    files.dedup();
    Ok(files)
}
