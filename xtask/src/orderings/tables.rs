//! The tables that the pages show of the data.

use super::data::{Book, Outcome, Side};
use crate::pages::replace_block;

/// The word in the markers.
const TOPIC: &str = "orderings";

/// Returns the page with its tables of pairs, of argued halves and of relaxed accesses renewed.
pub(super) fn render(page: &str, book: &Book) -> anyhow::Result<String> {
    let page = replace_block(page, TOPIC, "pairs", &pairs(book))?;
    let page = replace_block(&page, TOPIC, "argued", &argued(book))?;
    replace_block(&page, TOPIC, "relaxed", &relaxed(book))
}

fn pairs(book: &Book) -> String {
    let mut table = String::from("| release | acquire | carries | model |\n|---|---|---|---|\n");
    for pair in &book.pairs {
        let models: Vec<_> = pair.models.iter().map(|model| format!("`{model}`")).collect();
        let cells =
            [sides(&pair.release), sides(&pair.acquire), cell(&pair.carries), models.join(", ")];
        table.push_str(&row(&cells));
    }
    if !book.of_models.is_empty() {
        let labels: Vec<_> = book.of_models.iter().map(|label| format!("`{label}`")).collect();
        table.push_str(&format!("\nAccesses of the models: {}.\n", labels.join(", ")));
    }
    table
}

fn argued(book: &Book) -> String {
    if book.argued.is_empty() {
        return "None.\n".into();
    }
    let mut table = String::from("| label, half | why |\n|---|---|\n");
    for argued in &book.argued {
        let half = format!("`{}`, {}", argued.label, argued.half.name());
        table.push_str(&row(&[half, cell(&argued.why)]));
    }
    table
}

fn relaxed(book: &Book) -> String {
    let mut table = String::from("| label | why |\n|---|---|\n");
    for relaxed in &book.relaxed {
        table.push_str(&row(&[sides(&relaxed.labels), cell(&relaxed.why)]));
    }
    table
}

fn row(cells: &[String]) -> String {
    format!("| {} |\n", cells.join(" | "))
}

/// Returns the text of a cell: one line without the sign that ends a cell.
fn cell(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

fn sides(sides: &[Side]) -> String {
    let side = |side: &Side| match side.outcome {
        None => format!("`{}`", side.label),
        Some(Outcome::Refused) => format!("`{}` refused", side.label),
        Some(Outcome::Accepted) => format!("`{}` accepted", side.label),
    };
    sides.iter().map(side).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::orderings::data::Orderings;

    #[test]
    fn tables_have_every_entry() {
        let data = r#"
            [[ring.pair]]
            release = ["a:store"]
            acquire = ["b:load", "c:swap refused"]
            carries = """
            value | and
            more"""
            models = ["m::one", "m::two"]
            [[ring.argued]]
            label = "d:store"
            half = "release"
            why = "It is so."
            [[ring.relaxed]]
            labels = ["e:load", "f:load"]
            why = "hints"
            [executor]
        "#;
        let page: String = ["pairs", "argued", "relaxed"]
            .map(|name| format!("<!-- orderings:begin {name} -->\n<!-- orderings:end -->\n"))
            .concat();
        let page = render(&page, &Orderings::parse(data).unwrap().ring).unwrap();
        for line in [
            "| `a:store` | `b:load`, `c:swap` refused | value \\| and more | `m::one`, `m::two` |",
            "| `d:store`, release | It is so. |",
            "| `e:load`, `f:load` | hints |",
        ] {
            assert!(page.lines().any(|found| found == line), "{line}\n{page}");
        }
    }

    #[test]
    fn accesses_of_models_are_listed() {
        let book = Book { of_models: vec!["model:add".to_owned()], ..Book::default() };
        assert!(pairs(&book).ends_with("models: `model:add`.\n"));
    }
}
