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
fn add_files(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    let entries = fs::read_dir(folder)?.map(|entry| Ok(entry?.path()));
    let mut paths = entries.collect::<io::Result<Vec<_>>>()?;
    paths.sort();
    for path in paths {
        if path.is_dir() {
            add_files(&path, files)?;
        } else {
            files.push(path);
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
    let word = args.next().unwrap_or_else(|| "executor".to_owned());
    let folder = args.next().unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").to_owned() + "/examples");
    let mut files = Vec::new();
    add_files(Path::new(&folder), &mut files)?;

    // At most 16 files are open or searched ahead of the output.
    let executor = Executor::builder().window(16).build()?;
    let matches = files.into_iter().ordered_map_in(&executor, move |path| search(&path, &word));
    let mut shown = 0;
    // At the end of this loop the stream is dropped, which stops the search.
    for line in matches.flatten().take(MOST) {
        println!("{line}");
        shown += 1;
    }
    assert!(shown <= MOST);
    Ok(())
}
