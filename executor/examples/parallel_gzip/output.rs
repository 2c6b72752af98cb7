//! Outputs that get their name when they are complete. A signal removes incomplete outputs.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tempfile::NamedTempFile;

/// The paths of all incomplete outputs.
static INCOMPLETE: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

fn incomplete() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    INCOMPLETE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A temporary file beside its later name, so a rename is atomic. Its drop removes it.
pub(crate) struct Incomplete {
    file: NamedTempFile,
    _listed: Listed,
}

impl Incomplete {
    pub(crate) fn create(output: &Path) -> io::Result<Incomplete> {
        let folder = output.parent().filter(|folder| !folder.as_os_str().is_empty());
        // Under the lock, so that no signal comes between the creation and the entry.
        let mut incomplete = incomplete();
        let file = tempfile::Builder::new()
            .prefix(".parallel_gzip-")
            .tempfile_in(folder.unwrap_or(Path::new(".")))?;
        incomplete.insert(file.path().to_owned());
        let listed = Listed(file.path().to_owned());
        Ok(Incomplete { file, _listed: listed })
    }

    pub(crate) fn file(&self) -> &File {
        self.file.as_file()
    }

    /// Gives the file its name. Fails if the name exists, except with `force`.
    pub(crate) fn complete(self, output: &Path, force: bool) -> io::Result<()> {
        // Under the lock, so that a signal finds either name, and the rename does not fail.
        let _incomplete = incomplete();
        let named =
            if force { self.file.persist(output) } else { self.file.persist_noclobber(output) };
        named.map(drop).map_err(|refused| refused.error)
    }
}

/// An entry of `INCOMPLETE`.
struct Listed(PathBuf);

impl Drop for Listed {
    fn drop(&mut self) {
        incomplete().remove(&self.0);
    }
}

/// Removes all incomplete outputs. While the result exists, no output is created or gets its name.
#[cfg(unix)]
pub(crate) fn remove_incomplete() -> impl Drop {
    let incomplete = incomplete();
    for path in &*incomplete {
        // The file is gone if it was complete, or if its removal has begun.
        _ = std::fs::remove_file(path);
    }
    incomplete
}
