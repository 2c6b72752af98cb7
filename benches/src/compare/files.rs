//! Finds files on this machine: of the repository, of the crates that it uses, and of the system.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flate2::read::MultiGzDecoder;

/// A file and its content.
#[derive(Debug)]
pub(crate) struct File {
    pub(crate) path: PathBuf,
    pub(crate) bytes: Arc<[u8]>,
}

/// The minimum size of a file, in bytes.
const SMALLEST: u64 = 16 * 1024;
/// The maximum number of files per root. A search through more would take longer than the
/// compression.
const FOUND_MAX: usize = 5000;

/// Returns up to `count` files of up to `largest` bytes, of different sizes and kinds.
pub(crate) fn some(count: usize, largest: u64) -> Vec<File> {
    let mut found = Vec::new();
    for root in roots() {
        let mut in_root = Vec::new();
        find(&root, largest, &mut in_root);
        // The same number of each root.
        found.extend(spread(in_root, count));
    }
    let read = |path: PathBuf| Some(File { bytes: fs::read(&path).ok()?.into(), path });
    spread(found, count).into_iter().filter_map(read).collect()
}

/// Returns `len` bytes of text: source and pages of the repository and of the crates that it uses.
/// A machine with less text gives it several times.
pub(crate) fn text(len: usize) -> Vec<u8> {
    let is_text = |path: &PathBuf| {
        path.extension()
            .is_some_and(|kind| ["rs", "md", "txt", "toml"].iter().any(|it| kind == *it))
    };
    let mut found = Vec::new();
    for root in roots() {
        let mut in_root = Vec::new();
        find(&root, 1 << 20, &mut in_root);
        found.extend(in_root.into_iter().filter(is_text));
    }
    let mut text = Vec::with_capacity(len);
    for path in &found {
        if text.len() >= len {
            break;
        }
        text.extend(fs::read(path).unwrap_or_default());
    }
    let some = text.len();
    while (1..len).contains(&text.len()) {
        text.extend_from_within(..some.min(len - text.len()));
    }
    text.truncate(len);
    text
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

/// Returns `count` of the paths, evenly spread, or all paths if there are fewer.
fn spread(paths: Vec<PathBuf>, count: usize) -> Vec<PathBuf> {
    let all = paths.len();
    let chosen = |index: &usize| index * count / all != (index + 1) * count / all;
    if all <= count {
        return paths;
    }
    paths.into_iter().enumerate().filter(|(index, _)| chosen(index)).map(|(_, path)| path).collect()
}

/// Finds files in the order of their names, so a machine gives the same files each time.
fn find(folder: &Path, largest: u64, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        if found.len() == FOUND_MAX {
            return;
        }
        // Links are not followed, for they may form a cycle.
        let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
        if metadata.is_dir() {
            find(&path, largest, found);
        } else if metadata.is_file()
            && (SMALLEST..=largest).contains(&metadata.len())
            // gzip skips files whose names it takes for compressed files.
            && !path.to_string_lossy().ends_with("gz")
        {
            found.push(path);
        }
    }
}

/// Decompresses the data and compares it with the text.
pub(crate) fn check_text(compressed: &[u8], text: &[u8]) -> Result<(), String> {
    if decompressed(compressed)? == text {
        Ok(())
    } else {
        Err("the text differs after decompression".to_owned())
    }
}

fn decompressed(compressed: &[u8]) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let decoded = MultiGzDecoder::new(compressed).read_to_end(&mut bytes);
    decoded.map_err(|error| format!("the compressed data is broken: {error}"))?;
    Ok(bytes)
}

/// Decompresses the data and compares it with the files.
pub(crate) fn check(compressed: &[u8], files: &[File]) -> Result<(), String> {
    let bytes = decompressed(compressed)?;
    let all: usize = files.iter().map(|file| file.bytes.len()).sum();
    let mut rest = &bytes[..];
    for file in files {
        let Some(after) = rest.strip_prefix(&*file.bytes) else {
            return Err(format!("{} differs after decompression", file.path.display()));
        };
        rest = after;
    }
    if rest.is_empty() {
        Ok(())
    } else {
        Err(format!("{} decompressed bytes of {all} bytes", bytes.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_paths_are_evenly_spread_and_at_most_the_count() {
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
    fn there_is_as_much_text_as_asked_for() {
        for len in [0, 1000, 3 << 20] {
            let text = text(len);
            assert_eq!(text.len(), len);
            assert!(text.iter().filter(|byte| byte.is_ascii()).count() >= len / 2);
        }
    }

    #[test]
    fn every_machine_that_builds_this_has_files() {
        let files = some(3, 1 << 20);
        assert_eq!(files.len(), 3);
        assert!(files.iter().all(|file| file.bytes.len() >= SMALLEST as usize));
    }
}
