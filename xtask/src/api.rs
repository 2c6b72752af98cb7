//! The public items of the crates are listed, and no release takes any away without a new version.
//!
//! * `docs/api/CRATE.txt` lists the public items with all features, one a line. A review sees each
//!   change of it.
//! * A line that is gone or changed since the last release (`v1.2.3`) needs a version that users do
//!   not get without asking. New lines are not judged. Some of them break users as well, such as a
//!   further variant of an exhaustive enum. They are for the review to see.

mod versions;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail, ensure};

use crate::build;
use versions::{gone, package_version};

/// The published crates.
const CRATES: [&str; 4] =
    ["reorder-ring", "reorder-executor", "reorder-requests", "reorder-remote"];

/// The program that turns the JSON of rustdoc into a listing. Its dependencies know one version of
/// that format, so it has a workspace and a lock file of its own.
const LISTER: &str = "ci/api/Cargo.toml";

/// The status with which that program refuses a format that it does not know.
const UNKNOWN_FORMAT: i32 = 2;

/// Compares the listings and the last release, or with `--renew` writes the listings.
pub(crate) fn run(arguments: &[String]) -> anyhow::Result<()> {
    let renew = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => false,
        ["--renew"] => true,
        _ => bail!("usage: cargo xtask api [--renew]"),
    };
    let mut cargo = build::cargo();
    let fetched = cargo.args(["fetch", "-q", "--locked", "--manifest-path", LISTER]).output()?;
    if !fetched.status.success() {
        print!("{}", String::from_utf8_lossy(&fetched.stderr));
        println!("skipped: api: the dependencies of {LISTER} cannot be fetched");
        return Ok(());
    }
    let target = build::target().join("api");
    let mut failed = 0;
    for name in CRATES {
        match list(name, &target)? {
            Some(listing) if renew => fs::write(file(name), listing)?,
            Some(listing) => failed += usize::from(!is_listed(name, &listing)?),
            None => {
                println!("skipped: api: {LISTER} does not know the rustdoc of this compiler");
                break;
            }
        }
    }
    failed += breaks_since_the_last_release()?;
    ensure!(failed == 0, "{failed} listings differ from what users may rely on");
    Ok(())
}

fn file(name: &str) -> PathBuf {
    Path::new("docs/api").join(name).with_extension("txt")
}

/// Returns the public items of a crate, or `None` if the compiler's rustdoc writes another format.
fn list(name: &str, target: &Path) -> anyhow::Result<Option<String>> {
    let mut rustdoc = build::cargo();
    rustdoc
        .args(["rustdoc", "-q", "-p", name, "--lib", "--all-features", "--target-dir"])
        .arg(target)
        .args(["--", "-Zunstable-options", "--output-format", "json"])
        // The JSON of rustdoc is not stable. The variable makes any toolchain write it.
        .env("RUSTC_BOOTSTRAP", "1");
    ensure!(rustdoc.status()?.success(), "{name}: rustdoc failed");

    let json = target.join("doc").join(name.replace('-', "_")).with_extension("json");
    let mut lister = build::cargo();
    lister
        .args(["run", "-q", "--locked", "--manifest-path", LISTER, "--target-dir"])
        .arg(target.join("tool"))
        .arg("--")
        .arg(json);
    let output = lister.output()?;
    if output.status.code() == Some(UNKNOWN_FORMAT) {
        return Ok(None);
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{LISTER} failed:\n{errors}");
    Ok(Some(String::from_utf8(output.stdout)?))
}

/// Compares the items of a crate with its listing, and prints the differences.
fn is_listed(name: &str, now: &str) -> anyhow::Result<bool> {
    let path = file(name);
    let listing = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    if listing == now {
        println!("api: {name}: {} lines, as {} has them", now.lines().count(), path.display());
        return Ok(true);
    }
    gone(&listing, now).iter().for_each(|line| println!("api: - {line}"));
    gone(now, &listing).iter().for_each(|line| println!("api: + {line}"));
    println!("api: {name} is not as {} says: cargo xtask api --renew", path.display());
    Ok(false)
}

/// Returns the number of crates that have lost something since the last tagged release, with a
/// version that users get by themselves.
fn breaks_since_the_last_release() -> anyhow::Result<usize> {
    let tags = git(&["tag", "--merged", "HEAD", "--list", "v[0-9]*", "--sort=-version:refname"]);
    let Some(release) = tags.unwrap_or_default().lines().next().map(str::to_owned) else {
        println!("skipped: api: compatibility: no release is tagged");
        return Ok(0);
    };
    let version = |manifest: &str| package_version(manifest).context("Cargo.toml has no version");
    let before = version(&git(&["show", &format!("{release}:Cargo.toml")])?)?;
    let now = version(&fs::read_to_string("Cargo.toml")?)?;
    let mut broken = 0;
    for name in CRATES {
        let path = file(name);
        let listing = fs::read_to_string(&path)?;
        let released = git(&["show", &format!("{release}:{}", path.display())])?;
        let lost = versions::broken(&released, &listing, &before, &now);
        lost.iter().for_each(|line| println!("api: gone since {before}: {line}"));
        if lost.is_empty() {
            println!("api: {name}: compatible with {release}, or of a new version");
        } else {
            println!(
                "api: {name}: users of {release} would break; raise the version in Cargo.toml"
            );
            broken += 1;
        }
    }
    Ok(broken)
}

fn git(arguments: &[&str]) -> anyhow::Result<String> {
    let output = Command::new("git").args(arguments).output().context("git")?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "git {}: {errors}", arguments.join(" "));
    Ok(String::from_utf8(output.stdout)?)
}
