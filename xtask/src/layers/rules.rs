//! The rules for imports between layers.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::imports::{Import, imports};
use super::tree::Tree;
use crate::graph::{Graph, cycles};

/// The most files of one import cycle.
const FILES_IN_A_CYCLE: usize = 3;

/// The layers of one crate, from top to bottom.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Plan {
    pub(super) source: String,
    pub(super) layers: Vec<Layer>,
}

/// One layer: the folder or file of a top module, or several that stand side by side.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Layer {
    One(String),
    Several(Vec<String>),
}

impl Layer {
    pub(super) fn modules(&self) -> &[String] {
        match self {
            Layer::One(module) => std::slice::from_ref(module),
            Layer::Several(modules) => modules,
        }
    }
}

/// The result of a check of one crate.
#[derive(Debug)]
pub(super) struct Findings {
    pub(super) modules: usize,
    /// Sets of files that import each other, the largest first.
    pub(super) file_cycles: Vec<Vec<String>>,
    /// Sets of top modules that import each other, the largest first.
    pub(super) top_cycles: Vec<Vec<String>>,
    /// One message for each breach of the rules.
    pub(super) breaches: Vec<String>,
}

/// Checks one crate against the plan of its layers.
pub(super) fn check(tree: &Tree, plan: &Plan) -> Findings {
    let imports = imports(tree);
    let mut breaches = unplanned(tree, plan);
    breaches.extend(imports.iter().filter_map(|import| upward(import, plan)));

    let files: Graph = graph(tree, &imports, |module| module.to_owned());
    let file_cycles = cycles(&files);
    for cycle in file_cycles.iter().filter(|cycle| cycle.len() > FILES_IN_A_CYCLE) {
        breaches.push(format!(
            "{}: {} files import each other; at most {FILES_IN_A_CYCLE} may: {}",
            plan.source,
            cycle.len(),
            cycle.iter().map(|name| file_name(tree, name)).collect::<Vec<_>>().join(" ")
        ));
    }

    for cycle in cycles(&graph(tree, &imports, |module| folder(tree, module))) {
        // Files at the top that import each other are no folders; the rule above is theirs.
        if cycle.iter().any(|unit| has_children(tree, unit)) {
            let mut message = format!("{}: folders import each other:", plan.source);
            let within: BTreeSet<&String> = cycle.iter().collect();
            for (from, to, import) in first_imports(tree, &imports) {
                if within.contains(&from) && within.contains(&to) {
                    let place = format!("{}:{}", import.file.display(), import.line);
                    message.push_str(&format!("\n    {from} imports {to}: {place}"));
                }
            }
            breaches.push(message);
        }
    }

    let top_cycles = cycles(&graph(tree, &imports, |module| top(module).to_owned()));
    Findings { modules: tree.modules.len(), file_cycles, top_cycles, breaches }
}

/// Returns the first segment of a module's path.
pub(super) fn top(module: &str) -> &str {
    module.split("::").next().unwrap_or_default()
}

/// Compares the modules of the plan with the modules of the crate.
fn unplanned(tree: &Tree, plan: &Plan) -> Vec<String> {
    let mut planned = BTreeMap::new();
    for module in plan.layers.iter().flat_map(Layer::modules) {
        *planned.entry(module.as_str()).or_insert(0) += 1;
    }
    let there: BTreeSet<&str> =
        tree.modules.keys().map(|name| top(name)).filter(|name| !name.is_empty()).collect();
    let mut breaches = Vec::new();
    for module in &there {
        if !planned.contains_key(module) {
            breaches.push(format!("{}: the module `{module}` is in no layer", plan.source));
        }
    }
    for (module, count) in planned {
        if !there.contains(module) {
            breaches.push(format!("{}: the layer `{module}` has no module", plan.source));
        }
        if count > 1 {
            breaches.push(format!("{}: the module `{module}` is in {count} layers", plan.source));
        }
    }
    breaches
}

/// Returns the message about an import from a higher layer.
fn upward(import: &Import, plan: &Plan) -> Option<String> {
    // The root stands above all layers: it imports from each, and no layer imports from it.
    let level = |module: &str| match top(module) {
        "" => Some(0),
        top => {
            let at = plan.layers.iter().position(|layer| layer.modules().iter().any(|m| m == top));
            at.map(|at| at + 1)
        }
    };
    let (from, to) = (level(&import.from)?, level(&import.to)?);
    (to < from).then(|| {
        format!(
            "{}:{}: `{}` imports upward: `crate::{}`, which `{}` defines",
            import.file.display(),
            import.line,
            import.from,
            import.path,
            if import.to.is_empty() { "lib" } else { &import.to },
        )
    })
}

/// Returns the graph of imports between groups of modules. It leaves out the root, and imports
/// between a module and the modules inside it.
fn graph(tree: &Tree, imports: &[Import], group: impl Fn(&str) -> String) -> Graph {
    let mut graph = Graph::new();
    for name in tree.modules.keys().filter(|name| !name.is_empty()) {
        graph.entry(group(name)).or_default();
    }
    for import in imports {
        let (from, to) = (group(&import.from), group(&import.to));
        if !contains(&from, &to) && !contains(&to, &from) {
            graph.entry(from).or_default().insert(to);
        }
    }
    graph
}

/// Returns `true` if the first module is the second one or contains it.
fn contains(outer: &str, inner: &str) -> bool {
    outer.is_empty()
        || inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// Returns the folder of a module: the module itself if it contains others or is at the top, else
/// its parent.
fn folder(tree: &Tree, module: &str) -> String {
    match module.rsplit_once("::") {
        Some((parent, _)) if !has_children(tree, module) => parent.to_owned(),
        _ => module.to_owned(),
    }
}

fn has_children(tree: &Tree, module: &str) -> bool {
    tree.modules.keys().any(|name| name != module && contains(module, name))
}

fn file_name(tree: &Tree, module: &str) -> String {
    tree.modules[module].file.display().to_string()
}

/// Returns one import for each pair of folders.
fn first_imports<'a>(tree: &Tree, imports: &'a [Import]) -> Vec<(String, String, &'a Import)> {
    let mut first = BTreeMap::new();
    for import in imports {
        let (from, to) = (folder(tree, &import.from), folder(tree, &import.to));
        if !contains(&from, &to) && !contains(&to, &from) {
            first.entry((from, to)).or_insert(import);
        }
    }
    first.into_iter().map(|((from, to), import)| (from, to, import)).collect()
}
