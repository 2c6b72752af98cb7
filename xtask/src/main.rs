//! The project's own tools. `cargo xtask` without arguments lists them.

mod api;
mod asm;
mod bounds;
mod build;
mod ci;
mod faults;
mod graph;
mod instructions;
mod labels;
mod layers;
mod lengths;
mod mutants;
mod nats;
mod notes;
mod orderings;
mod package;
mod pages;
mod probe;
mod prose;
mod syntax;
mod tree;

use std::path::Path;
use std::process::ExitCode;

/// One tool: its name on the command line, a line of help, and its entry point.
struct Tool {
    name: &'static str,
    help: &'static str,
    run: fn(&[String]) -> anyhow::Result<()>,
}

/// All tools, in the order in which the help lists them.
const TOOLS: &[Tool] = &[
    Tool {
        name: "api",
        help: "compares the public items with docs/api and with the last release",
        run: api::run,
    },
    Tool {
        name: "asm",
        help: "reads the machine code of the hot paths: no loop, one locked instruction per item",
        run: asm::run,
    },
    Tool {
        name: "bounds",
        help: "renders the tables of step bounds, and compares methods and tests with them",
        run: bounds::run,
    },
    Tool {
        name: "ci",
        help: "runs the checks of a change, or those that the arguments name",
        run: ci::run,
    },
    Tool {
        name: "deep",
        help: "runs the long checks before a release, or those that the arguments name",
        run: ci::deep,
    },
    Tool {
        name: "faults",
        help: "applies the faults that tests must notice, each to a copy, and runs the tests there",
        run: faults::run,
    },
    Tool {
        name: "instructions",
        help: "counts the instructions of each operation, and compares them with the baseline",
        run: instructions::run,
    },
    Tool {
        name: "labels",
        help: "checks that every atomic access has its note, and every note its entry in the data",
        run: labels::run,
    },
    Tool {
        name: "layers",
        help: "checks that imports go to the same or a lower layer, without cycles of folders",
        run: layers::run,
    },
    Tool {
        name: "lengths",
        help: "checks that no Rust file has too many lines of code",
        run: lengths::run,
    },
    Tool {
        name: "mutants",
        help: "changes a statement at a time where threads meet, and runs the tests",
        run: mutants::run,
    },
    Tool {
        name: "nats",
        help: "starts NATS servers on loopback, prints their URL, and removes them in the end",
        run: nats::run,
    },
    Tool {
        name: "nats-kills",
        help: "kills workers, owners and NATS servers at random while remote_gzip runs",
        run: nats::kills::run,
    },
    Tool {
        name: "orderings",
        help: "renders the tables of atomic accesses; weakens each order and runs the models",
        run: orderings::run,
    },
    Tool {
        name: "package",
        help: "checks that unpacked packages have the files that they need, and no others",
        run: package::run,
    },
    Tool {
        name: "prose",
        help: "checks comments and documents for sentences and lines that are hard to read",
        run: prose::run,
    },
];

fn main() -> ExitCode {
    // All paths are relative to the root of the repository.
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    if let Err(error) = std::env::set_current_dir(&root) {
        eprintln!("{}: {error}", root.display());
        return ExitCode::FAILURE;
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some(tool) = TOOLS.iter().find(|tool| Some(tool.name) == arguments.first().map(|a| &**a))
    else {
        eprintln!("usage: cargo xtask TOOL [ARGUMENT...]\n");
        for tool in TOOLS {
            eprintln!("  {:14} {}", tool.name, tool.help);
        }
        return ExitCode::from(2);
    };
    match (tool.run)(&arguments[1..]) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}: {error:#}", tool.name);
            ExitCode::FAILURE
        }
    }
}
