//! Splitting a text into documents, before anything is parsed.
//!
//! It is done by lines, as `kubectl` does it, so that a mistake in one document leaves the others readable, and so
//! that the memory that a parser takes is bounded by one document.

/// One document of a text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Document<'a> {
    /// 1, 2, 3…, counting those that are not empty.
    pub(super) number: usize,
    /// The line of the text on which it begins: 1, 2, 3…
    pub(super) first_line: usize,
    /// The document, with the separator in front of it, if any.
    pub(super) text: &'a str,
}

/// The documents of a text that say anything.
pub(super) fn split(text: &str) -> Vec<Document<'_>> {
    let mut documents = Vec::new();
    let mut rest = text;
    let mut first_line = 1;
    while !rest.is_empty() {
        let (lines, bytes) = measure(rest);
        let (text, after) = rest.split_at_checked(bytes).unwrap_or((rest, ""));
        if says_anything(text) {
            documents.push(Document { number: documents.len() + 1, first_line, text });
        }
        first_line += lines;
        rest = after;
    }
    documents
}

/// The lines and bytes up to the next separator, which belongs to the document that follows it.
fn measure(text: &str) -> (usize, usize) {
    let mut lines = 0;
    let mut bytes = 0;
    for line in text.split_inclusive('\n') {
        if lines > 0 && is_separator(line) {
            break;
        }
        lines += 1;
        bytes += line.len();
    }
    (lines, bytes)
}

fn is_separator(line: &str) -> bool {
    line.strip_prefix("---").is_some_and(|rest| rest.chars().next().is_none_or(char::is_whitespace))
}

/// Whether there is more than separators, comments, YAML's directives and white space.
fn says_anything(text: &str) -> bool {
    text.lines().any(|line| {
        let line = if is_separator(line) { line.get(3..).unwrap_or_default() } else { line };
        let line = line.trim();
        !line.is_empty() && !line.starts_with(['#', '%'])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_counted_without_the_empty_ones() {
        let text =
            "# a comment\n---\na: 1\n--- # another\n\n---\nb: |\n  --- not here\n---x: 1\n--- {c: 1}\n...\n";
        let found: Vec<_> = split(text)
            .into_iter()
            .map(|document| (document.number, document.first_line, document.text))
            .collect();
        assert_eq!(
            found,
            [
                (1, 2, "---\na: 1\n"),
                (2, 6, "---\nb: |\n  --- not here\n---x: 1\n"),
                (3, 10, "--- {c: 1}\n...\n"),
            ]
        );
        assert_eq!(split("%YAML 1.2\n# nothing\n---\n"), []);
    }
}
