//! Files that are on the machine anyway: of this repository, of the crates that it needs, and of the
//! system.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flate2::read::MultiGzDecoder;

/// A file, as it was when it was read.
#[derive(Debug)]
pub(crate) struct File {
    pub(crate) path: PathBuf,
    pub(crate) bytes: Arc<[u8]>,
}

/// A smaller one is a single block, in which there is nothing to share out.
const SMALLEST: u64 = 16 * 1024;
/// Looking at more would take longer than compressing.
const LOOK_AT: usize = 5000;

/// Up to `count` files of up to `largest` bytes, of all sizes and kinds that there are.
pub(crate) fn some(count: usize, largest: u64) -> Vec<File> {
    let mut found = Vec::new();
    for root in roots() {
        let mut of_root = Vec::new();
        find(&root, largest, &mut of_root);
        // As many of each root.
        found.extend(spread(of_root, count));
    }
    let read = |path: PathBuf| Some(File { bytes: fs::read(&path).ok()?.into(), path });
    spread(found, count).into_iter().filter_map(read).collect()
}

fn roots() -> Vec<PathBuf> {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    let home = std::env::var_os("HOME").map(|home| Path::new(&home).join(".cargo"));
    let cargo = std::env::var_os("CARGO_HOME").map(PathBuf::from).or(home);
    let system = ["/usr/share/doc", "/usr/bin", "/usr/lib"].map(PathBuf::from);
    let mut roots: Vec<_> = system.into_iter().collect();
    roots.extend(repository.map(|repository| repository.join("reorder")));
    roots.extend(cargo.map(|cargo| cargo.join("registry/src")));
    roots
}

/// `count` of them, evenly spread.
fn spread(paths: Vec<PathBuf>, count: usize) -> Vec<PathBuf> {
    let all = paths.len();
    let chosen = |index: &usize| index * count / all != (index + 1) * count / all;
    if all <= count {
        return paths;
    }
    paths.into_iter().enumerate().filter(|(index, _)| chosen(index)).map(|(_, path)| path).collect()
}

/// In the order of their names, so that the same machine gives the same files.
fn find(folder: &Path, largest: u64, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        if found.len() == LOOK_AT {
            return;
        }
        // Not what a link leads to, which may lead back.
        let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
        if metadata.is_dir() {
            find(&path, largest, found);
        } else if metadata.is_file()
            && (SMALLEST..=largest).contains(&metadata.len())
            // gzip does not compress what it takes for compressed.
            && !path.to_string_lossy().ends_with("gz")
        {
            found.push(path);
        }
    }
}

/// Decompresses and compares.
pub(crate) fn check(compressed: &[u8], files: &[File]) -> Result<(), String> {
    let mut bytes = Vec::new();
    let decoded = MultiGzDecoder::new(compressed).read_to_end(&mut bytes);
    decoded.map_err(|error| format!("what was compressed is broken: {error}"))?;
    let all: usize = files.iter().map(|file| file.bytes.len()).sum();
    let mut rest = &bytes[..];
    for file in files {
        let Some(after) = rest.strip_prefix(&*file.bytes) else {
            return Err(format!("{} did not come back as it was", file.path.display()));
        };
        rest = after;
    }
    if rest.is_empty() { Ok(()) } else { Err(format!("{} bytes for {all}", bytes.len())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_spread_and_not_more_than_asked_for() {
        let paths: Vec<PathBuf> = (0..10).map(|number| number.to_string().into()).collect();
        let names = |paths: Vec<PathBuf>| {
            paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().concat()
        };
        assert_eq!(names(spread(paths.clone(), 10)), "0123456789");
        assert_eq!(names(spread(paths.clone(), 20)), "0123456789");
        assert_eq!(names(spread(paths.clone(), 5)), "13579");
        assert_eq!(names(spread(paths, 3)), "369");
    }

    #[test]
    fn there_are_some_on_every_machine_that_builds_this() {
        let files = some(3, 1 << 20);
        assert_eq!(files.len(), 3);
        assert!(files.iter().all(|file| file.bytes.len() >= SMALLEST as usize));
    }
}
