//! The instructions of one symbol, in blocks that jumps connect.

use crate::graph::{Graph, cycles};

/// One symbol's machine code, from x86-64 assembly in the syntax of the compiler (AT&T).
#[derive(Debug, Default)]
pub(super) struct Listing {
    pub(super) instructions: usize,
    /// Instructions that lock the bus or the cache line.
    pub(super) locked: usize,
    /// The targets of calls, and of jumps out of the symbol, which are calls in the last place.
    pub(super) calls: Vec<String>,
    blocks: Graph,
}

impl Listing {
    /// Reads the code of a symbol. Returns `None` if the assembly has no such symbol.
    pub(super) fn parse(assembly: &str, symbol: &str) -> Option<Listing> {
        let mut lines = assembly.lines();
        lines.find(|line| line.strip_suffix(':') == Some(symbol))?;
        let mut listing = Listing::default();
        let mut block = listing.block("entry");
        // `true` if the next line follows the last one without a jump.
        let mut falls = true;
        for line in lines {
            if line.starts_with(".Lfunc_end") {
                return Some(listing);
            }
            if let Some(label) = label(line) {
                let next = listing.block(label);
                if falls {
                    listing.edge(&block, &next);
                }
                (block, falls) = (next, true);
                continue;
            }
            let mut words = line.split_whitespace();
            let Some(name) = words.next().filter(|name| !name.starts_with(['.', '#'])) else {
                continue;
            };
            let target = words.next().unwrap_or_default();
            listing.instructions += 1;
            // An exchange with memory locks without the prefix.
            let exchange = name.starts_with("xchg") && line.contains('(');
            listing.locked += usize::from(name == "lock" || exchange);
            falls = !(name.starts_with("jmp") || name.starts_with("ret") || name == "ud2");
            if name.starts_with('j') && target.starts_with(".L") {
                listing.edge(&block, target);
                // A jump ends its block.
                let next = listing.block(&format!("{block}+{}", listing.instructions));
                if falls {
                    listing.edge(&block, &next);
                }
                block = next;
            } else if name.starts_with('j') || name.starts_with("call") {
                listing.calls.push(target.to_owned());
            }
        }
        None
    }

    fn block(&mut self, name: &str) -> String {
        self.blocks.entry(name.to_owned()).or_default();
        name.to_owned()
    }

    fn edge(&mut self, from: &str, to: &str) {
        self.blocks.entry(from.to_owned()).or_default().insert(to.to_owned());
    }

    /// Returns the blocks of each loop.
    pub(super) fn loops(&self) -> Vec<Vec<String>> {
        let mut loops = cycles(&self.blocks);
        let alone = self.blocks.iter().filter(|(block, targets)| targets.contains(*block));
        loops.extend(alone.map(|(block, _)| vec![block.clone()]));
        loops
    }
}

/// Returns the label that a line begins with.
fn label(line: &str) -> Option<&str> {
    let (label, _) = line.split_once(':')?;
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.');
    (label.starts_with(".L") && label.chars().all(allowed)).then_some(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(code: &str) -> Listing {
        let assembly = format!("other:\n\tlock\nprobe:\n\t.cfi_startproc\n{code}.Lfunc_end0:\n");
        Listing::parse(&assembly, "probe").unwrap()
    }

    #[test]
    fn instructions_of_the_symbol_alone_are_counted() {
        let found = listing(
            "\t# comment\n\tmovq\t%rdi, %rax\n\txchgq\t%rax, (%rdi)\n\txchgq\t%rax, %rbx\n\
                             \tlock\t\torq $1, (%rdi)\n\tretq\n",
        );
        assert_eq!((found.instructions, found.locked), (5, 2));
        assert!(found.calls.is_empty());
    }

    #[test]
    fn symbols_without_an_end_are_no_symbols() {
        assert!(Listing::parse("probe:\n\tretq\n", "probe").is_none());
        assert!(Listing::parse("probe2:\n\tretq\n.Lfunc_end0:\n", "probe").is_none());
    }

    #[test]
    fn calls_and_jumps_out_are_calls() {
        let found = listing("\tcallq\t*one(%rip)\n\tjne\ttwo\n\tjmp\tthree\n");
        assert_eq!(found.calls, ["*one(%rip)", "two", "three"]);
        assert!(found.loops().is_empty());
    }

    #[test]
    fn a_jump_back_from_a_cold_block_is_no_loop() {
        let found = listing("\tjne\t.L2\n.L1:\n\tretq\n.L2:\n\tcallq\tcold\n\tjmp\t.L1\n");
        assert_eq!(found.loops(), Vec::<Vec<String>>::new());
    }

    #[test]
    fn loops_of_one_and_of_several_blocks_are_found() {
        let alone = listing(".L1:\n\tlock\tcmpxchgq\t%rcx, (%rdi)\n\tjne\t.L1\n\tretq\n");
        assert_eq!(alone.loops(), [[".L1"]]);
        let several = listing(".L1:\n\tjne\t.L3\n\tretq\n.L2:\n\tjmp\t.L1\n.L3:\n\tjmp\t.L2\n");
        assert_eq!(several.loops(), [[".L1", ".L2", ".L3"]]);
        let split = listing(".L1:\n\tje\t.L2\n\tjmp\t.L1\n.L2:\n\tretq\n");
        assert_eq!(split.loops(), [[".L1", ".L1+1"]]);
    }
}
