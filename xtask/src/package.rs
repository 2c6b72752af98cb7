//! An unpacked package has the files that a user needs, and no others.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};

/// Files that each package needs.
const NEEDED: [&str; 6] =
    ["README.md", "LICENSE-MIT", "LICENSE-APACHE", "Cargo.toml", "Cargo.lock", "src/lib.rs"];

/// Files that a package may have besides, apart from Rust files in certain folders.
const ALLOWED: [&str; 3] = ["Cargo.toml.orig", ".cargo_vcs_info.json", "examples/README.md"];

/// Folders whose Rust files a package may have.
const SOURCES: [&str; 3] = ["src", "tests", "examples"];

/// Files that are the same in a package and in the repository.
const SAME: [&str; 2] = ["LICENSE-MIT", "LICENSE-APACHE"];

/// Checks the unpacked packages in the folders that the arguments name.
pub(crate) fn run(arguments: &[String]) -> anyhow::Result<()> {
    if arguments.is_empty() {
        bail!("usage: cargo xtask package FOLDER...");
    }
    let mut breaches = 0;
    for folder in arguments {
        let (files, found) = check(Path::new(folder), Path::new("."))?;
        let name = Path::new(folder).file_name().unwrap_or_default().to_string_lossy();
        found.iter().for_each(|breach| println!("package: {name} {breach}"));
        println!("package: {name}: {files} files");
        breaches += found.len();
    }
    ensure!(breaches == 0, "{breaches} files are missing or do not belong into a package");
    Ok(())
}

/// Returns the number of files, and a message for each breach.
fn check(folder: &Path, repository: &Path) -> anyhow::Result<(usize, Vec<String>)> {
    let mut breaches = Vec::new();
    for needed in NEEDED {
        if fs::read(folder.join(needed)).map_or(true, |content| content.is_empty()) {
            breaches.push(format!("has no {needed}"));
        }
    }
    for same in SAME {
        let expected = fs::read(repository.join(same)).with_context(|| same.to_owned())?;
        if fs::read(folder.join(same)).is_ok_and(|content| content != expected) {
            breaches.push(format!("has another {same} than the repository"));
        }
    }
    let files = files(folder)?;
    for file in &files {
        let file = file.strip_prefix(folder).unwrap_or(file);
        if !is_allowed(file) {
            breaches.push(format!("has {}, which belongs into no package", file.display()));
        }
    }
    Ok((files.len(), breaches))
}

fn is_allowed(file: &Path) -> bool {
    let named = NEEDED.iter().chain(&ALLOWED).any(|name| file == Path::new(name));
    let source = SOURCES.iter().any(|folder| file.starts_with(folder));
    named || (source && file.extension().is_some_and(|extension| extension == "rs"))
}

/// Returns everything in a folder and the folders in it that is no folder.
fn files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            all.extend(files(&entry.path())?);
        } else {
            all.push(entry.path());
        }
    }
    all.sort();
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks a package after one change.
    fn breaches_after(change: impl FnOnce(&Path)) -> Vec<String> {
        let (package, repository) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for file in NEEDED.iter().chain(&ALLOWED).chain(&["tests/wide/a.rs", "examples/b.rs"]) {
            let path = package.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, file).unwrap();
        }
        for file in SAME {
            fs::write(repository.path().join(file), file).unwrap();
        }
        change(package.path());
        check(package.path(), repository.path()).unwrap().1
    }

    #[test]
    fn complete_package_is_accepted() {
        assert_eq!(breaches_after(|_| {}), Vec::<String>::new());
    }

    #[test]
    fn missing_and_empty_files_are_found() {
        let found = breaches_after(|package| {
            fs::remove_file(package.join("Cargo.lock")).unwrap();
            fs::write(package.join("README.md"), "").unwrap();
        });
        assert_eq!(found, ["has no README.md", "has no Cargo.lock"]);
    }

    #[test]
    fn another_licence_is_found() {
        let found = breaches_after(|package| fs::write(package.join(SAME[0]), "other").unwrap());
        assert_eq!(found, ["has another LICENSE-MIT than the repository"]);
    }

    #[test]
    fn strange_files_are_found() {
        for file in ["notes.md", "src/data.bin", "benches/a.rs", "a.rs"] {
            let found = breaches_after(|package| {
                fs::create_dir_all(package.join(file).parent().unwrap()).unwrap();
                fs::write(package.join(file), "content").unwrap();
            });
            assert_eq!(found, [format!("has {file}, which belongs into no package")]);
        }
    }
}
