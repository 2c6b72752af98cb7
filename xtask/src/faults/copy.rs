//! Copies of the workspace, for a fault each.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, ensure};
use serde::Deserialize;

use super::apply::Workspace;
use super::entries::Fault;

#[derive(Deserialize)]
struct Manifest {
    workspace: Members,
}

#[derive(Deserialize)]
struct Members {
    members: Vec<String>,
}

/// Copies the workspace at `root` into the folder `to`, and applies the fault there.
///
/// `to` must be empty, or not exist.
pub(super) fn with_fault(root: &Path, fault: &Fault, to: &Path) -> anyhow::Result<()> {
    let changed = Workspace::new(root).changed(fault).with_context(|| fault.name.clone())?;
    workspace(root, to)?;
    for (path, text) in changed {
        let path = to.join(path);
        fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(())
}

/// Copies what cargo needs to build any member of the workspace.
pub(crate) fn workspace(root: &Path, to: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(to).with_context(|| format!("creating {}", to.display()))?;
    ensure!(fs::read_dir(to)?.next().is_none(), "{} is not empty", to.display());
    let manifest: Manifest = toml::from_str(&fs::read_to_string(root.join("Cargo.toml"))?)?;
    for file in ["Cargo.toml", "Cargo.lock", "README.md"] {
        copy(&root.join(file), &to.join(file))?;
    }
    for member in manifest.workspace.members {
        copy(&root.join(&member), &to.join(&member))?;
    }
    Ok(())
}

/// Copies a file, or a folder and everything in it. The copies are new, so that cargo builds them.
fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    if !from.is_dir() {
        fs::copy(from, to).with_context(|| format!("copying {}", from.display()))?;
        return Ok(());
    }
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let name = entry?.file_name();
        copy(&from.join(&name), &to.join(&name))?;
    }
    Ok(())
}
