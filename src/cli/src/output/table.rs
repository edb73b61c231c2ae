//! Lists: a table for people, an array in JSON, a sequence in YAML. Only a page of them is ever in memory.

use std::io::{self, Write};
use std::marker::PhantomData;

use serde::Serialize;

use super::{Format, yaml};
use crate::exit::Failure;

/// How many rows decide about the width of the columns.
const PAGE_ROWS: usize = 500;

/// The widest that a column but the last is made for the sake of one row.
const COLUMN_CHARS_MAX: usize = 60;

/// An item of a list.
pub(crate) trait Row: Serialize {
    /// The heads of the columns.
    const HEAD: &'static [&'static str];

    /// What is in the columns: text without control characters.
    fn cells(&self) -> Vec<String>;
}

/// A list that is being printed.
pub(crate) struct Rows<'a, R, W> {
    format: Format,
    writer: &'a mut W,
    /// Rows that are not printed yet.
    page: Vec<Vec<String>>,
    widths: Vec<usize>,
    is_begun: bool,
    rows: PhantomData<R>,
}

impl<'a, R: Row, W: Write> Rows<'a, R, W> {
    pub(super) fn begin(format: Format, writer: &'a mut W) -> Result<Self, Failure> {
        let page = vec![R::HEAD.iter().map(|head| (*head).to_owned()).collect()];
        let widths = vec![0; R::HEAD.len()];
        Ok(Self { format, writer, page, widths, is_begun: false, rows: PhantomData })
    }

    /// Prints a row, sooner or later.
    pub(crate) fn push(&mut self, row: &R) -> Result<(), Failure> {
        match self.format {
            Format::Table => {
                self.page.push(row.cells());
                if self.page.len() >= PAGE_ROWS {
                    self.turn_page()?;
                }
            }
            Format::Json => {
                let before: &[u8] = if self.is_begun { b",\n  " } else { b"[\n  " };
                self.writer.write_all(before)?;
                serde_json::to_writer(&mut *self.writer, row).map_err(io::Error::from)?;
            }
            Format::Yaml => yaml(self.writer, &[row])?,
        }
        self.is_begun = true;
        Ok(())
    }

    /// Prints what is left.
    pub(crate) fn end(mut self) -> Result<(), Failure> {
        match (self.format, self.is_begun) {
            (Format::Table, _) => self.turn_page()?,
            (Format::Json, true) => self.writer.write_all(b"\n]\n")?,
            (Format::Json | Format::Yaml, false) => self.writer.write_all(b"[]\n")?,
            (Format::Yaml, true) => {}
        }
        Ok(self.writer.flush()?)
    }

    pub(super) fn all(mut self, rows: &[R]) -> Result<(), Failure> {
        for row in rows {
            self.push(row)?;
        }
        self.end()
    }

    fn turn_page(&mut self) -> Result<(), Failure> {
        for cells in &self.page {
            for (width, cell) in self.widths.iter_mut().zip(cells) {
                *width = (*width).max(cell.chars().count().min(COLUMN_CHARS_MAX));
            }
        }
        for cells in self.page.drain(..) {
            let mut line = String::new();
            for (width, cell) in self.widths.iter().zip(&cells) {
                line.push_str(&format!("{cell:width$}   "));
            }
            writeln!(self.writer, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    struct Entry {
        key: String,
        value: u32,
    }

    impl Row for Entry {
        const HEAD: &'static [&'static str] = &["KEY", "VALUE"];

        fn cells(&self) -> Vec<String> {
            vec![self.key.clone(), self.value.to_string()]
        }
    }

    fn printed(format: Format, entries: impl IntoIterator<Item = (String, u32)>) -> String {
        let mut bytes = Vec::new();
        let mut rows = Rows::begin(format, &mut bytes).unwrap();
        for (key, value) in entries {
            rows.push(&Entry { key, value }).unwrap();
        }
        rows.end().unwrap();
        String::from_utf8(bytes).unwrap()
    }

    fn two() -> [(String, u32); 2] {
        [("alice".to_owned(), 1), ("bo".to_owned(), 22)]
    }

    #[test]
    fn columns_stand_under_their_heads() {
        assert_eq!(printed(Format::Table, two()), "KEY     VALUE\nalice   1\nbo      22\n");
        assert_eq!(printed(Format::Table, []), "KEY   VALUE\n");
    }

    #[test]
    fn lists_are_arrays_also_when_they_are_empty() {
        let json: serde_json::Value = serde_json::from_str(&printed(Format::Json, two())).unwrap();
        assert_eq!(json, serde_json::json!([{ "key": "alice", "value": 1 }, { "key": "bo", "value": 22 }]));
        assert_eq!(printed(Format::Json, []), "[]\n");
        let yaml: serde_json::Value = serde_yaml::from_str(&printed(Format::Yaml, two())).unwrap();
        assert_eq!(yaml, json);
        assert_eq!(printed(Format::Yaml, []), "[]\n");
    }

    #[test]
    fn a_list_of_any_length_has_one_head_and_all_rows() {
        let many = (0..2 * PAGE_ROWS + 7).map(|row| (format!("key-{row}"), 5));
        let text = printed(Format::Table, many);
        assert_eq!(text.lines().count(), 1 + 2 * PAGE_ROWS + 7);
        assert_eq!(text.lines().filter(|line| line.starts_with("KEY")).count(), 1);
    }

    #[test]
    fn one_giant_cell_does_not_push_all_others_away() {
        let text = printed(Format::Table, [("x".repeat(4_096), 1), ("y".to_owned(), 2)]);
        assert!(text.lines().last().unwrap().len() < 80, "{text}");
    }
}
