//! Instructions per operation of the ring and the pool, counted by callgrind.
//!
//! The counts are exact, however busy the machine is. None may grow beyond `ci/instructions.txt`.
//! The price of a locked instruction, or of a line that moves between cores, is for the benches.
//!
//! Compilers differ. With another one than the baseline's, a quarter more is allowed.

mod baseline;

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, bail, ensure};

use crate::build;
use crate::probe::{Compiler, Ring, faulty_ring};
use baseline::{Counts, compare};

/// The program that runs the operations.
const PROBE: &str = "ci/instructions_probe.rs";

/// The baseline.
const BASELINE: &str = "ci/instructions.txt";

/// The operations that the fault makes slower.
const SLOWER: [&str; 3] = ["reserve", "complete", "try_next"];

/// Compares the counts with the baseline and shows that the check can fail. With `--renew`, writes
/// the baseline.
pub(crate) fn run(arguments: &[String]) -> anyhow::Result<()> {
    let renew = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => false,
        ["--renew"] => true,
        _ => bail!("usage: cargo xtask instructions [--renew]"),
    };
    let compiler = Compiler::ask()?;
    let baseline = fs::read_to_string(BASELINE).context(BASELINE)?;
    let (of_baseline, baseline) = Counts::read_baseline(&baseline).context(BASELINE)?;
    if !renew && compiler.host != of_baseline.host {
        println!(
            "skipped: instructions: the baseline is for {}, this is {}",
            of_baseline.host, compiler.host
        );
        return Ok(());
    }
    if !has_valgrind() {
        println!(
            "skipped: instructions: valgrind is not installed (Debian: apt-get install valgrind)"
        );
        return Ok(());
    }

    let target = build::target().join("instructions");
    fs::create_dir_all(&target)?;
    let ring = Ring::build(Path::new("."), &target.join("build"))?;
    let now = count(&ring, &target)?;
    if renew {
        fs::write(BASELINE, now.baseline(&compiler))?;
        println!("instructions: {BASELINE} is renewed");
        return Ok(());
    }

    let mut slack = 1.0;
    if compiler != of_baseline {
        slack = 1.25;
        println!(
            "instructions: the baseline is of rustc {}, this is {}: a quarter more is allowed",
            of_baseline.release, compiler.release
        );
    }
    let compared = compare(&baseline, &now, slack);
    compared.lines.iter().for_each(|line| println!("instructions: {line}"));
    ensure!(
        compared.accepted,
        "if there is a reason, run cargo xtask instructions --renew, and say it in the commit"
    );

    // The fault makes each of these a little slower, and each must be noticed.
    let ring = faulty_ring("slower", &target.join("faulty"), &target.join("build-faulty"))?;
    let compared = compare(&now, &count(&ring, &target)?, 1.0);
    for operation in SLOWER {
        if !compared.grew.iter().any(|grew| grew == operation) {
            compared.lines.iter().for_each(|line| println!("instructions: {line}"));
            bail!("a slower {operation} passes: the check cannot fail");
        }
    }
    println!("instructions: a slower {} are noticed", SLOWER.join(", "));
    Ok(())
}

/// Returns `true` if valgrind is there. Installs it where the caller may do that.
fn has_valgrind() -> bool {
    let runs = |name: &str, arguments: &[&str]| {
        Command::new(name).args(arguments).output().is_ok_and(|output| output.status.success())
    };
    let root = || Command::new("id").arg("-u").output().is_ok_and(|id| id.stdout == b"0\n");
    if !runs("valgrind", &["--version"]) && root() && runs("apt-get", &["--version"]) {
        println!("instructions: installing valgrind");
        _ = runs("apt-get", &["update"]) && runs("apt-get", &["install", "-y", "valgrind"]);
    }
    runs("valgrind", &["--version"])
}

/// Counts the instructions of each operation.
fn count(ring: &Ring, folder: &Path) -> anyhow::Result<Counts> {
    let probe = folder.join("probe");
    ring.compile(PROBE, &[], &probe)?;
    let output = |command: &mut Command| -> anyhow::Result<String> {
        let output = command.output().with_context(|| format!("{command:?}"))?;
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{command:?} failed:\n{errors}");
        Ok(String::from_utf8(output.stdout)?)
    };
    let mut counts = Counts::default();
    for operation in output(&mut Command::new(&probe))?.lines() {
        let file = folder.join("counts");
        let mut valgrind = Command::new("valgrind");
        valgrind
            .args(["--tool=callgrind", "--toggle-collect=probe_*"])
            .arg(format!("--log-file={}", folder.join("log").display()))
            .arg(format!("--callgrind-out-file={}", file.display()))
            .arg(&probe)
            .arg(operation);
        // The probe prints how often it has run the operation.
        let times: f64 = output(&mut valgrind)?.trim().parse().context(PROBE)?;
        let counted = fs::read_to_string(&file)?;
        let total = baseline::total(&counted).context("callgrind prints no total")?;
        counts.add(operation, total / times);
    }
    Ok(counts)
}
