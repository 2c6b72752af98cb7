//! The outputs: a table, JSON, and charts.

mod json;
mod record;
mod svg;
mod table;

pub(crate) use json::write as write_json;
pub(crate) use record::Record;
pub(crate) use svg::write as write_svg;
pub(crate) use table::print as print_table;
