//! The data file of bounds, and the tables that show it.

use std::sync::LazyLock;

use anyhow::Context as _;
use regex::Regex;
use serde::Deserialize;

/// The data file.
pub(super) const FILE: &str = "docs/bounds.toml";

/// All operations with their bounds.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Bounds {
    #[serde(rename = "operation")]
    pub(super) operations: Vec<Operation>,
}

/// Methods with the same bound.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Operation {
    pub(super) methods: Vec<String>,
    #[serde(default = "yes")]
    link: bool,
    also: Option<String>,
    pub(super) at_most: String,
    details: Option<String>,
    #[serde(default)]
    not_counted: String,
    pub(super) steps: Option<usize>,
    pub(super) constant: Option<String>,
}

fn yes() -> bool {
    true
}

/// A number of steps, in digits or as a word.
static STEPS: LazyLock<Regex> = LazyLock::new(|| {
    let numbers = "one|two|three|four|five|six|seven|eight|nine|ten";
    let units = "loads?|stores?|steps?|additions?|attempts?|compare-and-swaps?|CAS|CASes";
    Regex::new(&format!(r"\b(?i:(\d+)|{numbers}) ({units})\b")).expect("the pattern is tested")
});

/// Returns `true` if a text states a number of steps.
pub(super) fn states_steps(text: &str) -> bool {
    STEPS.is_match(text)
}

impl Bounds {
    pub(super) fn parse(text: &str) -> anyhow::Result<Bounds> {
        toml::from_str(text).context(FILE)
    }

    /// Returns the operation with this method.
    pub(super) fn of(&self, method: &str) -> Option<&Operation> {
        self.operations.iter().find(|operation| operation.methods.iter().any(|name| name == method))
    }

    /// Returns a message for each bound whose `steps` are not the sum of its largest case.
    pub(super) fn sums(&self) -> Vec<String> {
        let wrong =
            |operation: &&Operation| operation.steps.is_some_and(|steps| steps != operation.sum());
        let message = |operation: &Operation| {
            let Operation { methods, at_most, .. } = operation;
            format!("{FILE}: {}: {at_most} are {} steps", methods.join(", "), operation.sum())
        };
        self.operations.iter().filter(wrong).map(message).collect()
    }

    /// Returns the table for the ring's page.
    pub(super) fn page_table(&self) -> String {
        let code = |method: &str, _| format!("`{method}`");
        self.table(code, |operation| match &operation.details {
            Some(details) => format!("{}: {details}", operation.at_most),
            None => operation.at_most.clone(),
        })
        .replace("[`", "`")
        .replace("`]", "`")
    }

    /// Returns the table for the crate's documentation.
    pub(super) fn crate_table(&self) -> String {
        let link =
            |method: &str, link| if link { format!("[`{method}`]") } else { format!("`{method}`") };
        self.table(link, |operation| operation.at_most.clone())
    }

    fn table(
        &self,
        method: impl Fn(&str, bool) -> String,
        bound: impl Fn(&Operation) -> String,
    ) -> String {
        let mut table = String::from("| operation | at most | not counted |\n|---|---|---|\n");
        for operation in &self.operations {
            let names = operation.methods.iter().map(|name| method(name, operation.link));
            let names: Vec<String> = names.chain(operation.also.clone()).collect();
            let cells = [names.join(", "), bound(operation), operation.not_counted.clone()];
            table.push_str(&format!("| {} |\n", cells.join(" | ")));
        }
        table
    }
}

impl Operation {
    /// Returns the sum of the numbers in the largest case of the bound.
    fn sum(&self) -> usize {
        // A case that replaces one step by another has as many steps.
        let cases = self.at_most.split(';').flat_map(|case| case.split(" or "));
        let sum = |case: &str| {
            let numbers = STEPS.captures_iter(case).filter_map(|steps| steps.get(1));
            numbers.filter_map(|number| number.as_str().parse::<usize>().ok()).sum()
        };
        cases.map(sum).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATA: &str = r#"
        [[operation]]
        methods = ["Side::one", "Side::two"]
        also = "dropping a [`Side`]"
        at_most = "2 loads and 1 store; 1 load and 3 stores or 2 steps"
        details = "so it is"
        not_counted = "waking"
        steps = 4
        [[operation]]
        methods = ["Other::three"]
        link = false
        at_most = "blocking"
    "#;

    #[test]
    fn tables_have_every_operation() {
        let bounds = Bounds::parse(DATA).unwrap();
        let bound = "2 loads and 1 store; 1 load and 3 stores or 2 steps";
        let head = "| operation | at most | not counted |\n|---|---|---|\n";
        let expected = format!(
            "{head}| `Side::one`, `Side::two`, dropping a `Side` | {bound}: so it is | waking |\n\
             | `Other::three` | blocking |  |\n"
        );
        assert_eq!(bounds.page_table(), expected);
        let expected = format!(
            "{head}| [`Side::one`], [`Side::two`], dropping a [`Side`] | {bound} | waking |\n\
             | `Other::three` | blocking |  |\n"
        );
        assert_eq!(bounds.crate_table(), expected);
    }

    #[test]
    fn steps_are_the_sum_of_the_largest_case() {
        assert_eq!(Bounds::parse(DATA).unwrap().sums(), Vec::<String>::new());
        let wrong = DATA.replace("steps = 4", "steps = 3");
        assert_eq!(Bounds::parse(&wrong).unwrap().sums().len(), 1);
    }

    #[test]
    fn numbers_of_steps_are_found() {
        for text in ["at most 2 loads", "Two loads", "one compare-and-swap", "3 CASes"] {
            assert!(states_steps(text), "{text}");
        }
        for text in ["a load", "2 threads", "a constant number of steps", "loads of 3 words"] {
            assert!(!states_steps(text), "{text}");
        }
    }
}
