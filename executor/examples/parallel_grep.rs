//! Searches the files of a folder in parallel, prints the matches in order, and stops at 100.
//!
//! ```sh
//! cargo run -p reorder-executor --example parallel_grep                   # in the examples
//! cargo run -p reorder-executor --example parallel_grep -- WORD FOLDER
//! ```

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

use reorder_executor::{Executor, IteratorExt};

const MOST: usize = 100;

/// Adds the files of a folder and of the folders in it, sorted by their paths.
///
/// It leaves out symbolic links, as `grep -r` does. A link to a folder may lead to itself.
fn add_files(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    let mut entries = fs::read_dir(folder)?.collect::<io::Result<Vec<_>>>()?;
    entries.sort_by_key(fs::DirEntry::path);
    for entry in entries {
        // It does not follow a link.
        let kind = entry.file_type()?;
        if kind.is_dir() {
            add_files(&entry.path(), files)?;
        } else if kind.is_file() {
            files.push(entry.path());
        }
    }
    Ok(())
}

/// Returns the lines of a file that contain the word, each with its place.
fn search(path: &Path, word: &str) -> Vec<String> {
    let text = match fs::read(path) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        // A file that cannot be read is no reason to stop.
        Err(error) => return vec![format!("{}: {error}", path.display())],
    };
    let lines = (1..).zip(text.lines()).filter(|(_, line)| line.contains(word));
    lines.map(|(number, line)| format!("{}:{number}:{line}", path.display())).collect()
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = env::args().skip(1);
    let is_sample = args.len() == 0;
    let word = args.next().unwrap_or_else(|| "executor".to_owned());
    let folder = args.next().unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").to_owned() + "/examples");
    let mut files = Vec::new();
    add_files(Path::new(&folder), &mut files)?;

    // One thread would find these lines.
    let sequential = files.iter().flat_map(|path| search(path, &word)).take(MOST);
    let expected: Option<Vec<_>> = is_sample.then(|| sequential.collect());

    // At most 16 files are open or searched ahead of the output.
    let executor = Executor::builder().window(16).build()?;
    let matches = files.into_iter().ordered_map_in(&executor, move |path| search(&path, &word));
    let mut shown = Vec::new();
    // At the end of this loop the stream is dropped, which stops the search.
    for line in matches.flatten().take(MOST) {
        println!("{line}");
        shown.extend(is_sample.then_some(line));
    }
    assert!(expected.is_none_or(|expected| expected == shown));
    Ok(())
}
