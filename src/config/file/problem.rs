//! Where something in a config file is wrong, and how that is shown: file, line, column, the line itself, a caret.
//!
//! Owns [`Problem`] and the text that it points into. Pure. It never shows a value unless it is told to: of the line,
//! only the keys that the bridge knows and the punctuation are shown, as the rest may be a secret.

use std::{fmt, ops::Range, path::Path, sync::Arc};

use super::keys;

/// The most of a line that is shown, in characters: a file may be one long line.
const WIDEST: usize = 100;

/// Something wrong in a config file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file, as it was named.
    pub file: Arc<str>,
    /// Counted from 1.
    pub line: usize,
    /// In characters, counted from 1.
    pub column: usize,
    /// What is wrong, why, and what to write. One line.
    pub message: String,
    /// The line and where in it the caret goes, in characters counted from 0.
    excerpt: (String, usize),
}

impl Problem {
    /// The line, and below it a caret.
    pub fn excerpt(&self) -> String {
        let (line, caret) = &self.excerpt;
        let number = self.line.to_string();
        let margin = " ".repeat(number.len());
        format!("{number} | {line}\n{margin} | {}^", " ".repeat(*caret))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file, self.line, self.column, self.message)
    }
}

impl std::error::Error for Problem {}

/// A file's text, to point into.
pub(super) struct Text<'t> {
    file: Arc<str>,
    pub(super) text: &'t str,
}

impl<'t> Text<'t> {
    pub(super) fn new(file: &Path, text: &'t str) -> Text<'t> {
        // What an editor on Windows puts in front. Offsets count from behind it, and so do columns.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        Text { file: file.display().to_string().into(), text }
    }

    /// A problem with what must not be shown.
    pub(super) fn at(&self, span: &Range<usize>, message: impl Into<String>) -> Problem {
        self.problem(span, message.into(), false)
    }

    /// A problem with a key or a value that holds no secret.
    pub(super) fn showing(&self, span: &Range<usize>, message: impl Into<String>) -> Problem {
        self.problem(span, message.into(), true)
    }

    /// Counted from 1.
    pub(super) fn line_of(&self, at: usize) -> usize {
        self.before(at).matches('\n').count().saturating_add(1)
    }

    fn problem(&self, span: &Range<usize>, message: String, show: bool) -> Problem {
        let before = self.before(span.start);
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = self.text.get(start..).and_then(|rest| rest.lines().next()).unwrap_or_default();
        let at = before.len() - start;
        let shown = if show { at..span.end.saturating_sub(start).max(at) } else { at..at };
        let column = before.get(start..).unwrap_or_default().chars().count() + 1;
        let line_number = self.line_of(span.start);
        Problem { file: self.file.clone(), line: line_number, column, message, excerpt: mask(line, at, &shown) }
    }

    /// Everything before a place, which may be past the end or, in theory, inside a character.
    fn before(&self, at: usize) -> &'t str {
        let mut at = at.min(self.text.len());
        while !self.text.is_char_boundary(at) {
            at -= 1;
        }
        self.text.get(..at).unwrap_or_default()
    }
}

/// The line with `***` for everything that may be secret, and where the place `at` came to be in it.
fn mask(line: &str, at: usize, shown: &Range<usize>) -> (String, usize) {
    let mut out = String::new();
    let mut length = 0;
    let mut caret = None;
    let mut hidden = false;
    let mut word_end = 0;
    for (place, c) in line.char_indices() {
        if caret.is_none() && place >= at {
            caret = Some(length);
        }
        let rest = line.get(place..).unwrap_or_default();
        if place >= word_end && !hidden && is_word(c) {
            let word = rest.split(|c| !is_word(c)).next().unwrap_or_default();
            word_end =
                if keys::is_known(word) && stands_alone(line, place, word) { place + word.len() } else { word_end };
        }
        let open = shown.contains(&place) || place < word_end || is_structure(c, hidden);
        match (open, hidden) {
            (true, _) => {
                hidden = false;
                out.push(if c.is_control() || c.is_whitespace() { ' ' } else { c });
                length += 1;
            }
            (false, true) => {}
            (false, false) => {
                hidden = true;
                out.push_str("***");
                length += 3;
            }
        }
    }
    narrow(&out, length, caret.unwrap_or(length))
}

/// Whether a word in quotes is all that is in them: `"Bearer x"` is no key.
fn stands_alone(line: &str, place: usize, word: &str) -> bool {
    let before = line.get(..place).and_then(|before| before.chars().next_back());
    let after = line.get(place + word.len()..).and_then(|after| after.chars().next());
    match before.filter(|c| matches!(c, '"' | '\'')) {
        Some(quote) => after == Some(quote),
        None => after.is_none_or(|c| is_structure(c, false)),
    }
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '-'
}

/// What holds a file together. Inside something hidden fewer characters count: `=` and `:` are part of many secrets.
fn is_structure(c: char, hidden: bool) -> bool {
    c.is_whitespace() || "\"',]}".contains(c) || (!hidden && "[{:=#.".contains(c))
}

/// The part of a long line around the caret.
fn narrow(line: &str, length: usize, caret: usize) -> (String, usize) {
    if length <= WIDEST {
        return (line.trim_end().to_string(), caret);
    }
    let skipped = caret.saturating_sub(WIDEST / 2);
    let part: String = line.chars().skip(skipped).take(WIDEST).collect();
    (part.trim_end().to_string(), caret - skipped)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(text: &str, span: Range<usize>, show: bool) -> Problem {
        Text::new(Path::new("f.json"), text).problem(&span, "wrong".into(), show)
    }

    #[test]
    fn the_place_is_shown_with_a_caret() {
        let text = "{\n  \"command\": 7\n}";
        let problem = problem(text, 15..16, true);
        assert_eq!(problem.to_string(), "f.json:2:14: wrong");
        assert_eq!(problem.excerpt(), "2 |   \"command\": 7\n  |              ^");
    }

    #[test]
    fn what_may_be_secret_is_not_shown() {
        for (line, want) in [
            (r#"  "Authorization": "Bearer hun=ter2:x==","#, r#"  "***": "*** ***","#),
            ("headers = { X = hunter2 }", "headers = { *** = *** }"),
            ("hunter2hunter2==", "***"),
            ("args = [\"--key=hunter2\"] # hunter2", "args = [\"***\"] # ***"),
            ("\tcommand\u{7}x", " ***"),
        ] {
            assert_eq!(mask(line, 0, &(0..0)).0, want, "{line}");
        }
    }

    #[test]
    fn places_at_the_end_and_in_long_lines_are_found() {
        assert_eq!(problem("", 0..0, true).to_string(), "f.json:1:1: wrong");
        assert_eq!(problem("a\n", 99..120, true).to_string(), "f.json:2:1: wrong");
        let long = format!("{}{{", "[1, ".repeat(1_000));
        let problem = problem(&long, 4_000..4_001, false);
        let excerpt = problem.excerpt();
        let (line, caret) = excerpt.split_once('\n').unwrap();
        assert!(line.len() < 120, "{line}");
        assert_eq!(line.chars().nth(caret.find('^').unwrap()), Some('{'), "{excerpt}");
    }
}
