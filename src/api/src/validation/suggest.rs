//! The words in which problems are told.

/// The most characters of a user's text that a message repeats.
const SHOWN_MAX: usize = 64;

/// The longest text for which a similar one is looked for.
const COMPARED_MAX: usize = 64;

/// A text that may be huge or hold control characters, in quotes, fit for one line.
pub(crate) fn quoted(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN_MAX).flat_map(char::escape_debug).collect();
    if text.chars().nth(SHOWN_MAX).is_some() {
        shown.push('…');
    }
    format!("\"{shown}\"")
}

/// The candidate that somebody who wrote `text` probably meant: same letters in another case or with other
/// separators, or a slip or two in the spelling.
pub(crate) fn nearest<'a>(text: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    if text.len() > COMPARED_MAX {
        return None;
    }
    let plain = |text: &str| -> String {
        text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
    };
    let written = plain(text);
    let slips_max = written.len().div_ceil(4);
    candidates
        .map(|candidate| (strsim::osa_distance(&written, &plain(candidate)), candidate))
        .filter(|(slips, _)| *slips <= slips_max)
        .min_by_key(|(slips, _)| *slips)
        .map(|(_, candidate)| candidate)
}

/// `a`, `a or b`, `a, b or c`.
pub(crate) fn one_of<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let words: Vec<&str> = words.into_iter().collect();
    match words.split_last() {
        None => String::new(),
        Some((last, [])) => (*last).to_owned(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_finds_what_was_meant() {
        let fields = ["partitions", "replicas", "storageClassName", "pod", "limits"];
        for (written, meant) in [
            ("partitons", Some("partitions")),
            ("Replicas", Some("replicas")),
            ("replica", Some("replicas")),
            ("storage_class_name", Some("storageClassName")),
            ("pdo", Some("pod")),
            ("template", None),
            ("", None),
        ] {
            assert_eq!(nearest(written, fields.into_iter()), meant, "{written}");
        }
        assert_eq!(nearest(&"partitions".repeat(10), fields.into_iter()), None);
    }

    #[test]
    fn a_huge_text_is_not_repeated() {
        assert_eq!(quoted("a\nb\u{7}"), r#""a\nb\u{7}""#);
        assert!(quoted(&"x".repeat(1_000_000)).len() < 100);
    }
}
