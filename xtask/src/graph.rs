//! Cycles in directed graphs.

use std::collections::{BTreeMap, BTreeSet};

/// The nodes that each node points to.
pub(crate) type Graph = BTreeMap<String, BTreeSet<String>>;

/// Returns the sets of nodes that all reach each other, the largest first. Single nodes are left
/// out.
pub(crate) fn cycles(graph: &Graph) -> Vec<Vec<String>> {
    let mut finished = Vec::new();
    let mut seen = BTreeSet::new();
    for node in graph.keys() {
        visit(graph, node, &mut seen, &mut finished);
    }

    let mut reversed = Graph::new();
    for (from, targets) in graph {
        for to in targets {
            reversed.entry(to.clone()).or_default().insert(from.clone());
        }
    }
    let mut seen = BTreeSet::new();
    let mut sets = Vec::new();
    for node in finished.iter().rev() {
        let mut set = Vec::new();
        visit(&reversed, node, &mut seen, &mut set);
        if set.len() > 1 {
            set.sort();
            sets.push(set);
        }
    }
    sets.sort_by_key(|set| (usize::MAX - set.len(), set.clone()));
    sets
}

/// Walks from `start` through nodes that were not seen before, and appends each node after all the
/// nodes behind it. The stack is explicit, so that a long chain of imports needs no deep recursion.
fn visit(graph: &Graph, start: &str, seen: &mut BTreeSet<String>, finished: &mut Vec<String>) {
    let targets = |node: &str| {
        graph.get(node).map(|targets| targets.iter().cloned().collect()).unwrap_or_default()
    };
    if !seen.insert(start.to_owned()) {
        return;
    }
    let mut stack: Vec<(String, Vec<String>)> = vec![(start.to_owned(), targets(start))];
    while let Some((_, left)) = stack.last_mut() {
        match left.pop() {
            Some(next) => {
                if seen.insert(next.clone()) {
                    let behind = targets(&next);
                    stack.push((next, behind));
                }
            }
            None => finished.extend(stack.pop().map(|(node, _)| node)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(edges: &[(&str, &str)]) -> Graph {
        let mut graph = Graph::new();
        for (from, to) in edges {
            graph.entry((*from).to_owned()).or_default().insert((*to).to_owned());
        }
        graph
    }

    #[test]
    fn chains_have_no_cycle() {
        let chain = graph(&[("a", "b"), ("b", "c"), ("a", "c"), ("d", "c")]);
        assert_eq!(cycles(&chain), Vec::<Vec<String>>::new());
    }

    #[test]
    fn cycles_are_found_whole_and_the_largest_first() {
        let two = graph(&[("a", "b"), ("b", "a"), ("b", "x"), ("x", "y"), ("y", "z"), ("z", "x")]);
        assert_eq!(cycles(&two), [vec!["x", "y", "z"], vec!["a", "b"]]);
    }

    #[test]
    fn cycles_with_a_node_in_common_are_one() {
        let eight = graph(&[("a", "b"), ("b", "a"), ("b", "c"), ("c", "b")]);
        assert_eq!(cycles(&eight), [vec!["a", "b", "c"]]);
    }
}
