//! Which tools of a server are offered: names with `*` and `?`, allowed and denied.
//!
//! Owns the patterns and the rule that a denial wins. Pure. It never sees a message: what filters lists and refuses calls
//! asks [`ToolFilter::allows`].

/// Which tools of a server are offered. The default offers all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ToolFilter {
    /// Only what matches one of these; `None`: everything.
    pub allow: Option<Vec<Glob>>,
    /// Nothing that matches one of these, whatever is allowed.
    pub deny: Vec<Glob>,
}

impl ToolFilter {
    /// Whether a tool is offered.
    pub fn allows(&self, name: &str) -> bool {
        let allowed = self.allow.as_ref().is_none_or(|allow| allow.iter().any(|glob| glob.matches(name)));
        allowed && !self.deny.iter().any(|glob| glob.matches(name))
    }

    /// Whether every tool is offered, so that nothing has to be looked at.
    pub fn is_open(&self) -> bool {
        self.allow.is_none() && self.deny.is_empty()
    }
}

/// A pattern for a whole name: `*` is any text, `?` one character, everything else itself, in its case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob(Box<str>);

impl Glob {
    /// Any text is a pattern.
    pub fn new(pattern: impl Into<Box<str>>) -> Glob {
        Glob(pattern.into())
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Only ever goes back to the last `*`, so that no pattern takes more than its length times the name's.
    pub fn matches(&self, name: &str) -> bool {
        let (mut pattern, mut rest) = (self.0.chars(), name.chars());
        // Where to go on when the text after the last `*` does not match: one character further.
        let mut again = None;
        loop {
            let mut next = rest.clone();
            match (pattern.next(), next.next()) {
                (Some('*'), _) => again = Some((pattern.clone(), rest.clone())),
                (Some(want), Some(found)) if want == '?' || want == found => rest = next,
                (None, None) => return true,
                _ => {
                    let Some((after, mut from)) = again.take() else { return false };
                    if from.next().is_none() {
                        return false;
                    }
                    (pattern, rest) = (after.clone(), from.clone());
                    again = Some((after, from));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn stars_and_question_marks_match_whole_names() {
        for (pattern, yes, no) in [
            ("read_*", vec!["read_", "read_file"], vec!["read", "xread_file", "Read_file"]),
            ("*", vec!["", "x"], vec![]),
            ("*_file", vec!["_file", "a_file_file"], vec!["a_file_"]),
            ("a?c", vec!["abc", "aéc"], vec!["ac", "abbc"]),
            ("a*b*c", vec!["abc", "aXbYbZc"], vec!["acb", "ab"]),
            ("", vec![""], vec!["a"]),
            ("exact", vec!["exact"], vec!["exactly"]),
        ] {
            let glob = Glob::new(pattern);
            assert!(yes.iter().all(|name| glob.matches(name)), "{pattern} {yes:?}");
            assert!(!no.iter().any(|name| glob.matches(name)), "{pattern} {no:?}");
        }
    }

    #[test]
    fn a_denial_wins() {
        let filter = ToolFilter { allow: Some(vec![Glob::new("read_*")]), deny: vec![Glob::new("*_secret")] };
        assert!(filter.allows("read_file") && !filter.allows("write_file") && !filter.allows("read_secret"));
        assert!(ToolFilter::default().allows("anything") && ToolFilter::default().is_open() && !filter.is_open());
        assert!(!ToolFilter { allow: Some(vec![]), deny: vec![] }.allows("x"));
    }

    /// The definition, as slow as it is plain.
    fn plain(pattern: &[char], name: &[char]) -> bool {
        match (pattern.split_first(), name.split_first()) {
            (None, None) => true,
            (Some(('*', after)), _) => (0..=name.len()).any(|at| plain(after, &name[at..])),
            (Some((want, after)), Some((found, rest))) => (*want == '?' || want == found) && plain(after, rest),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn matching_is_as_defined(pattern in "[ab?*]{0,8}", name in "[ab]{0,10}") {
            let (p, n): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
            prop_assert_eq!(Glob::new(pattern).matches(&name), plain(&p, &n));
        }
    }
}
