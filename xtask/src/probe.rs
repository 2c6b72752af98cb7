//! Small programs that use the ring, built with fixed options. Their machine code can be read.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};

use crate::{build, faults};

/// The version and the host of the compiler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Compiler {
    pub(crate) release: String,
    pub(crate) host: String,
}

impl Compiler {
    /// Asks the compiler.
    pub(crate) fn ask() -> anyhow::Result<Compiler> {
        let output = Command::new("rustc").arg("-vV").output().context("rustc")?;
        Compiler::parse(&String::from_utf8_lossy(&output.stdout)).context("rustc -vV")
    }

    fn parse(text: &str) -> Option<Compiler> {
        let field = |name| text.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
        Some(Compiler { release: field("release: ")?, host: field("host: ")? })
    }
}

/// A ring that probes can be built against.
pub(crate) struct Ring {
    /// The folder of the build.
    build: PathBuf,
}

impl Ring {
    /// Builds the ring of the workspace in `source`, in the folder `build`.
    pub(crate) fn build(source: &Path, build: &Path) -> anyhow::Result<Ring> {
        let mut cargo = build::cargo();
        cargo
            .args(["build", "-q", "--release", "-p", "reorder-ring", "--target-dir"])
            .arg(build)
            .current_dir(source)
            // They would change the code.
            .env_remove("RUSTFLAGS")
            .env_remove("CARGO_ENCODED_RUSTFLAGS");
        run(&mut cargo)?;
        Ok(Ring { build: build.to_owned() })
    }

    /// Compiles a probe against the ring.
    pub(crate) fn compile(&self, probe: &str, options: &[&str], to: &Path) -> anyhow::Result<()> {
        let release = self.build.join("release");
        let mut rustc = Command::new("rustc");
        build::forget_cargo(&mut rustc);
        rustc
            .args(["--edition", "2024", "-C", "opt-level=3", "-C", "codegen-units=1"])
            .args(options)
            .arg("-o")
            .arg(to)
            .arg("--extern")
            .arg(format!("reorder_ring={}", release.join("libreorder_ring.rlib").display()))
            .arg("-L")
            .arg(format!("dependency={}", release.join("deps").display()))
            .arg(probe);
        run(&mut rustc)
    }
}

/// Builds the ring of a copy of the workspace with a fault, in the folder `build`.
pub(crate) fn faulty_ring(fault: &str, copy: &Path, build: &Path) -> anyhow::Result<Ring> {
    if copy.exists() {
        fs::remove_dir_all(copy)?;
    }
    faults::apply(fault, copy)?;
    let ring = Ring::build(copy, build)?;
    fs::remove_dir_all(copy)?;
    Ok(ring)
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let status = command.status().with_context(|| format!("{command:?}"))?;
    ensure!(status.success(), "{command:?} failed");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compiler_tells_its_version_and_host() {
        let text = "rustc 1.95.0 (59807616e 2026-04-14)\nbinary: rustc\n\
                    host: x86_64-unknown-linux-gnu\nrelease: 1.95.0\n";
        let expected =
            Compiler { release: "1.95.0".into(), host: "x86_64-unknown-linux-gnu".into() };
        assert_eq!(Compiler::parse(text), Some(expected));
        assert_eq!(Compiler::parse("rustc"), None);
    }
}
