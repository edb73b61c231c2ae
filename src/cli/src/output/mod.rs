//! What commands print on standard output: for people, or as JSON or YAML.
//!
//! Standard output holds what was asked for and nothing else, so that scripts can use it: progress, warnings and errors go
//! to standard error. A verb that has nothing to answer prints nothing for people; as JSON or YAML it tells what it did.

mod table;
mod text;

pub(crate) use table::{Row, Rows};
pub(crate) use text::{Encoding, Shown, Versioned, duration, quoted};

use std::io::{self, Write};

use serde::Serialize;

use crate::exit::Failure;

/// How to print.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people: tables, values alone, lines.
    #[default]
    Table,
    /// JSON; where there is one thing after the other, one in a line.
    Json,
    /// YAML.
    Yaml,
}

/// How to print, as an argument.
#[derive(Clone, Copy, Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Printing {
    /// How to print what is answered.
    #[arg(
        long = "output",
        short = 'o',
        global = true,
        value_name = "FORMAT",
        env = "SYNOD_OUTPUT",
        default_value = "table",
        help_heading = "Output"
    )]
    format: Format,
}

impl Printing {
    /// Not as JSON or YAML.
    pub(crate) fn is_for_people(self) -> bool {
        self.format == Format::Table
    }

    /// Prints to standard output.
    pub(crate) fn printer(self) -> Printer<io::Stdout> {
        Printer::new(self.format, io::stdout())
    }
}

/// Prints what a command has to say.
#[derive(Debug)]
pub(crate) struct Printer<W> {
    format: Format,
    writer: W,
}

impl<W: Write> Printer<W> {
    pub(crate) const fn new(format: Format, writer: W) -> Self {
        Self { format, writer }
    }

    /// Prints an answer: for people the text in a line, or nothing if it is empty.
    pub(crate) fn answer(&mut self, record: &impl Serialize, text: &str) -> Result<(), Failure> {
        if self.format == Format::Table && text.is_empty() {
            return Ok(());
        }
        self.line_or(record, text)
    }

    /// As [`Printer::answer`], also when the text is empty.
    pub(crate) fn line_or(&mut self, record: &impl Serialize, text: &str) -> Result<(), Failure> {
        if self.format == Format::Table { self.line(text) } else { self.record(record) }
    }

    /// Prints an answer that people read as a table.
    pub(crate) fn table<R: Row>(&mut self, record: &impl Serialize, rows: &[R]) -> Result<(), Failure> {
        if self.format != Format::Table {
            return self.record(record);
        }
        self.rows::<R>()?.all(rows)
    }

    /// Prints bytes as they are, whatever the format.
    pub(crate) fn raw(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.writer.write_all(bytes)?;
        Ok(self.writer.flush()?)
    }

    /// Prints something of which there is more to come, at once.
    pub(crate) fn event(&mut self, record: &impl Serialize, text: &str) -> Result<(), Failure> {
        match self.format {
            Format::Table => self.line(text),
            Format::Json => {
                serde_json::to_writer(&mut self.writer, record).map_err(io::Error::from)?;
                self.line("")
            }
            Format::Yaml => {
                self.writer.write_all(b"---\n")?;
                self.record(record)
            }
        }
    }

    /// Begins a list, which may be longer than memory.
    pub(crate) fn rows<R: Row>(&mut self) -> Result<Rows<'_, R, W>, Failure> {
        Rows::begin(self.format, &mut self.writer)
    }

    fn record(&mut self, record: &impl Serialize) -> Result<(), Failure> {
        match self.format {
            Format::Yaml => yaml(&mut self.writer, record)?,
            Format::Table | Format::Json => {
                serde_json::to_writer_pretty(&mut self.writer, record).map_err(io::Error::from)?;
                self.writer.write_all(b"\n")?;
            }
        }
        Ok(self.writer.flush()?)
    }

    fn line(&mut self, text: &str) -> Result<(), Failure> {
        writeln!(self.writer, "{text}")?;
        Ok(self.writer.flush()?)
    }
}

fn yaml(writer: &mut impl Write, record: &impl Serialize) -> io::Result<()> {
    let text = serde_yaml::to_string(record).map_err(io::Error::other)?;
    writer.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use serde::Serialize;

    use super::*;

    #[derive(Serialize)]
    struct Record {
        value: i64,
    }

    fn printed(format: Format, print: impl FnOnce(&mut Printer<&mut Vec<u8>>)) -> String {
        let mut bytes = Vec::new();
        print(&mut Printer::new(format, &mut bytes));
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn an_answer_is_the_text_alone_or_a_record() {
        let answer = |format| printed(format, |printer| printer.answer(&Record { value: 7 }, "7").unwrap());
        assert_eq!(answer(Format::Table), "7\n");
        assert_eq!(answer(Format::Json), "{\n  \"value\": 7\n}\n");
        assert_eq!(answer(Format::Yaml), "value: 7\n");
    }

    #[test]
    fn what_has_nothing_to_say_says_nothing_to_people() {
        let answer = |format| printed(format, |printer| printer.answer(&Record { value: 7 }, "").unwrap());
        assert_eq!(answer(Format::Table), "");
        assert!(answer(Format::Json).contains('7'));
    }

    #[test]
    fn events_are_lines_or_documents() {
        let events = |format| {
            printed(format, |printer| {
                for value in [1, 2] {
                    printer.event(&Record { value }, &format!("it is {value}")).unwrap();
                }
            })
        };
        assert_eq!(events(Format::Table), "it is 1\nit is 2\n");
        assert_eq!(events(Format::Json), "{\"value\":1}\n{\"value\":2}\n");
        assert_eq!(events(Format::Yaml), "---\nvalue: 1\n---\nvalue: 2\n");
    }
}
