//! The machine code of the hot paths has one locked instruction per item, and no loop.
//!
//! `ci/asm_probe.rs` wraps `Ring::complete`, `Producer::reserve` and `Consumer::try_next` in
//! symbols of their own. For each of them, the assembly must have:
//!
//! * No loop: the graph of its jumps has no cycle. An outlined cold block may jump back to the hot
//!   path, so a backward jump alone is no loop.
//! * No call, except to functions that the source marks `#[cold] #[inline(never)]`. They separate
//!   the cold path from the hot one. Each is entered only after the hot path gave up.
//! * The exact number of locked instructions: 1 in `complete`, 0 in the others. The whole symbol
//!   counts, so the hot path has no more of them.
//!
//! The faults in `faults/assembly.toml` break this in copies of the source. The check must notice.

mod listing;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, bail, ensure};
use syn::Attribute;
use syn::visit::{self, Visit};

use crate::probe::{Compiler, Ring, faulty_ring};
use crate::{build, faults, syntax};
use listing::Listing;

/// The program with the symbols.
const PROBE: &str = "ci/asm_probe.rs";

/// The symbols, and the locked instructions of each.
const SYMBOLS: [(&str, usize); 3] =
    [("probe_complete", 1), ("probe_reserve", 0), ("probe_try_next", 0)];

/// Checks the ring, and that the check notices the faults.
pub(crate) fn run(arguments: &[String]) -> anyhow::Result<()> {
    if !arguments.is_empty() {
        bail!("usage: cargo xtask asm");
    }
    if !Compiler::ask()?.host.starts_with("x86_64-") {
        println!("skipped: asm: the check reads x86-64 assembly, and this machine is another one");
        return Ok(());
    }
    let target = build::target().join("asm");
    fs::create_dir_all(&target)?;
    let cold = cold_functions(Path::new("reorder/src"))?;

    let ring = Ring::build(Path::new("."), &target.join("build"))?;
    let found = check(&assembly(&ring, &target.join("ring.s"))?, &cold);
    found.lines.iter().for_each(|line| println!("asm: {line}"));
    ensure!(found.accepted, "the hot paths are not as they must be");

    for fault in faults::names("assembly")? {
        let ring = faulty_ring(&fault, &target.join("faulty"), &target.join("build-faulty"))?;
        let found = check(&assembly(&ring, &target.join(format!("{fault}.s")))?, &cold);
        if found.accepted {
            found.lines.iter().for_each(|line| println!("asm: {line}"));
            bail!("the fault {fault} passes: the check cannot fail");
        }
        println!("asm: the fault {fault} is noticed:");
        found.lines.iter().for_each(|line| println!("    {line}"));
    }
    Ok(())
}

/// Returns the assembly of the probe.
fn assembly(ring: &Ring, file: &Path) -> anyhow::Result<String> {
    ring.compile(PROBE, &["--crate-type", "lib", "--emit", "asm"], file)?;
    fs::read_to_string(file).with_context(|| file.display().to_string())
}

/// The result for all symbols, with a line for each finding.
struct Found {
    accepted: bool,
    lines: Vec<String>,
}

fn check(assembly: &str, cold: &BTreeSet<String>) -> Found {
    let mut found = Found { accepted: true, lines: Vec::new() };
    for (symbol, locked) in SYMBOLS {
        let Some(listing) = Listing::parse(assembly, symbol) else {
            found.accepted = false;
            found.lines.push(format!("no symbol {symbol}"));
            continue;
        };
        let (to_cold, others): (Vec<&String>, Vec<&String>) =
            listing.calls.iter().partition(|target| is_cold(target, cold));
        for target in &others {
            found.lines.push(format!("{symbol} calls {target}"));
        }
        let loops = listing.loops();
        for blocks in &loops {
            found.lines.push(format!("{symbol} has a loop through {}", blocks.join(" ")));
        }
        found.accepted &= others.is_empty() && loops.is_empty() && listing.locked == locked;
        found.lines.push(format!(
            "{symbol}: {} instructions, {} locked (expected {locked}), {} calls of cold functions",
            listing.instructions,
            listing.locked,
            to_cold.len(),
        ));
    }
    found
}

/// Returns `true` if a call goes to one of the cold functions, by its mangled name.
fn is_cold(target: &str, cold: &BTreeSet<String>) -> bool {
    let symbol = target.trim_start_matches('*').split(['@', '(']).next().unwrap_or_default();
    // The legacy mangling ends with the length and the name of the function, and a hash.
    let Some((path, hash)) = symbol.rsplit_once("17h") else { return false };
    hash.ends_with('E') && cold.iter().any(|name| path.ends_with(&format!("{}{name}", name.len())))
}

/// Returns the names of the functions that are marked `#[cold] #[inline(never)]`.
fn cold_functions(source: &Path) -> anyhow::Result<BTreeSet<String>> {
    let mut cold = Cold(BTreeSet::new());
    for path in syntax::files(source, &["tests", "tests.rs"])? {
        cold.visit_file(&syntax::read(&path)?.1);
    }
    ensure!(!cold.0.is_empty(), "{} has no cold functions", source.display());
    Ok(cold.0)
}

struct Cold(BTreeSet<String>);

impl Cold {
    fn add(&mut self, attributes: &[Attribute], name: &syn::Ident) {
        let cold = attributes.iter().any(|attribute| attribute.path().is_ident("cold"));
        let outlined = attributes.iter().any(|attribute| {
            attribute.path().is_ident("inline")
                && attribute.parse_args::<syn::Ident>().is_ok_and(|argument| argument == "never")
        });
        if cold && outlined {
            self.0.insert(name.to_string());
        }
    }
}

impl<'ast> Visit<'ast> for Cold {
    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        self.add(&function.attrs, &function.sig.ident);
        visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        self.add(&function.attrs, &function.sig.ident);
        visit::visit_impl_item_fn(self, function);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASSEMBLY: &str = "
probe_complete:
\tlock\tcmpxchgq\t%rcx, (%rdi)
\tjne\t.LBB0_2
\tretq
.LBB0_2:
\tjmpq\t*_ZN12reorder_ring4slot13Slot$LT$T$GT$13complete_cold17h00ffE@GOTPCREL(%rip)
.Lfunc_end0:
probe_reserve:
\tretq
.Lfunc_end1:
probe_try_next:
\tretq
.Lfunc_end2:
";

    fn cold() -> BTreeSet<String> {
        BTreeSet::from(["complete_cold".to_owned()])
    }

    #[test]
    fn hot_paths_are_accepted() {
        let found = check(ASSEMBLY, &cold());
        assert!(found.accepted, "{:?}", found.lines);
        let expected =
            "probe_complete: 4 instructions, 1 locked (expected 1), 1 calls of cold functions";
        assert_eq!(found.lines[0], expected);
    }

    #[test]
    fn each_fault_is_refused() {
        for (from, to, expected) in [
            ("13complete_cold", "8complete", "probe_complete calls *_ZN12"),
            (
                "\tretq\n.LBB0_2",
                "\tjmp\tprobe_complete\n.LBB0_2",
                "probe_complete calls probe_complete",
            ),
            (
                "probe_reserve:\n",
                "probe_reserve:\n\tlock\tincq\t(%rdi)\n",
                "probe_reserve: 2 instructions, 1 locked (expected 0), 0 calls of cold functions",
            ),
            ("\tlock\t", "\t", "probe_complete: 4 instructions, 0 locked (expected 1)"),
            (
                "probe_reserve:\n",
                "probe_reserve:\n.L1:\n\tjne\t.L1\n",
                "probe_reserve has a loop through .L1",
            ),
            ("probe_try_next:", "renamed:", "no symbol probe_try_next"),
        ] {
            let seeded = ASSEMBLY.replacen(from, to, 1);
            assert_ne!(seeded, ASSEMBLY);
            let found = check(&seeded, &cold());
            assert!(!found.accepted, "{to}");
            assert!(found.lines.iter().any(|line| line.starts_with(expected)), "{:?}", found.lines);
        }
    }

    #[test]
    fn functions_with_both_marks_are_cold() {
        let folder = tempfile::tempdir().unwrap();
        let source = "
            #[cold] #[inline(never)] fn one() {}
            #[cold] fn two() {}
            #[inline(never)] fn three() {}
            impl S { #[cold] #[inline(never)] fn four() {} #[cold] #[inline] fn five() {} }
        ";
        fs::write(folder.path().join("a.rs"), source).unwrap();
        let found = cold_functions(folder.path()).unwrap();
        assert_eq!(found, BTreeSet::from(["one".to_owned(), "four".to_owned()]));
    }
}
