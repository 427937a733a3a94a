//! What tools and prompts are called where several servers are one.
//!
//! Owns the prefixes and the short form of names that are too long. Pure.
//!
//! A prefix tells its server by itself: none is the beginning of another. Where two servers' would be, the longer one has
//! `-` in the place of `_`, and then a number.

/// Most characters of a name. Models' interfaces take no more (the protocol allows 128: 2025-11-25, Tools, Tool Names).
const MAX_NAME: usize = 64;

/// Most characters of a server's name in a prefix; a longer one is cut and marked.
const MAX_SERVER: usize = 24;

/// The mark of what was cut: `_` and eight digits.
const MARK: usize = 9;

/// How a prefix is made of a server's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    before: Box<str>,
    after: Box<str>,
}

/// Why a text is no template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} makes no prefix; write {{name}} once, up to 8 letters, digits, '_', '-' and '.' around it, and one of them \
     behind it, as in '{{name}}_'"
)]
pub struct TemplateError(String);

impl Default for Template {
    fn default() -> Template {
        Template { before: "".into(), after: "_".into() }
    }
}

impl Template {
    /// Reads a template such as `{name}_`.
    pub fn parse(text: &str) -> Result<Template, TemplateError> {
        let fits = |part: &str| part.len() <= 8 && part.chars().all(is_plain);
        match text.split_once("{name}") {
            Some((before, after)) if fits(before) && fits(after) && !after.is_empty() => {
                Ok(Template { before: before.into(), after: after.into() })
            }
            _ => Err(TemplateError(text.chars().take(MAX_NAME).collect())),
        }
    }

    fn prefix(&self, name: &str) -> String {
        [&*self.before, name, &*self.after].concat()
    }
}

fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')
}

/// The prefixes of servers, by their numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    prefixes: Vec<String>,
}

impl Names {
    /// For these servers, in their order.
    pub fn new(template: &Template, servers: &[&str]) -> Names {
        let mut order: Vec<usize> = (0..servers.len()).collect();
        // The shorter of two names keeps its form, whatever their order in the file.
        order.sort_by_key(|at| servers.get(*at).map_or(0, |name| name.len()));
        let mut prefixes = vec![String::new(); servers.len()];
        for at in order {
            let (Some(server), taken) = (servers.get(at), prefixes.clone()) else { continue };
            let free = |prefix: &String| {
                let others = taken.iter().filter(|other| !other.is_empty());
                others
                    .into_iter()
                    .all(|other| !other.starts_with(prefix.as_str()) && !prefix.starts_with(other.as_str()))
            };
            let prefix = candidates(template, server).find(free);
            if let (Some(slot), Some(prefix)) = (prefixes.get_mut(at), prefix) {
                *slot = prefix;
            }
        }
        Names { prefixes }
    }

    /// What stands before the names of a server.
    pub fn prefix(&self, server: usize) -> &str {
        self.prefixes.get(server).map_or("", String::as_str)
    }

    /// What a server's tool or prompt is called.
    pub fn exposed(&self, server: usize, name: &str) -> String {
        let full = [self.prefix(server), name].concat();
        if full.len() <= MAX_NAME { full } else { short(&full, MAX_NAME) }
    }

    /// Whose name this is, and the server's own word for it, unless that was cut: see [`Names::is_short`].
    pub fn owner<'n>(&self, exposed: &'n str) -> Option<(usize, &'n str)> {
        let of = |(at, prefix): (usize, &String)| Some((at, exposed.strip_prefix(prefix.as_str())?));
        self.prefixes.iter().enumerate().filter(|(_, prefix)| !prefix.is_empty()).find_map(of)
    }

    /// Whether this may stand for a longer name, which only the server's list tells.
    pub fn is_short(exposed: &str) -> bool {
        let mark = exposed.len().checked_sub(MARK).and_then(|at| exposed.get(at..));
        let is_mark = |mark: &str| mark.starts_with('_') && mark.chars().skip(1).all(|c| c.is_ascii_hexdigit());
        // A cut name is as long as it may be, but for what is left of a character at the cut.
        (MAX_NAME - 3..=MAX_NAME).contains(&exposed.len()) && mark.is_some_and(is_mark)
    }
}

/// The prefixes that a server could have, the best first.
fn candidates<'s>(template: &'s Template, server: &str) -> impl Iterator<Item = String> + 's {
    // Models' interfaces take no dot.
    let plain: String = server.chars().map(|c| if c == '.' { '-' } else { c }).collect();
    let plain = if plain.len() <= MAX_SERVER { plain } else { short(&plain, MAX_SERVER) };
    let dashed = plain.replace('_', "-");
    let numbered = dashed.clone();
    let numbered = (2_u32..).map(move |number| format!("{numbered}-{number}"));
    [plain, dashed].into_iter().chain(numbered).map(|name| template.prefix(&name))
}

/// The beginning of a name and a mark of the whole.
fn short(full: &str, most: usize) -> String {
    let mut end = most - MARK;
    while !full.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}_{:08x}", full.get(..end).unwrap_or_default(), fnv(full))
}

/// FNV-1a: the same in every version and on every machine.
fn fnv(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names(servers: &[&str]) -> Names {
        Names::new(&Template::default(), servers)
    }

    #[test]
    fn a_name_has_its_servers_name_before_it() {
        let names = names(&["time", "my_git", "a.b"]);
        assert_eq!(names.exposed(0, "now"), "time_now");
        assert_eq!(names.exposed(2, "x"), "a-b_x");
        assert_eq!(names.owner("my_git_log"), Some((1, "log")));
        assert_eq!(names.owner("other_log"), None);
        let template = Template::parse("mcp.{name}__").unwrap();
        assert_eq!(Names::new(&template, &["time"]).exposed(0, "now"), "mcp.time__now");
        for wrong in ["", "{name}", "x_", "{name}{name}_", "{name} ", "{name}_________"] {
            assert!(Template::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn prefixes_that_could_be_taken_for_each_other_are_told_apart() {
        for servers in [["a", "a_b", "a-b"], ["a-b", "a_b", "a"]] {
            let names = names(&servers);
            let prefix = |server: &str| names.prefix(servers.iter().position(|name| *name == server).unwrap());
            assert_eq!(prefix("a"), "a_", "{servers:?}");
            assert_ne!(prefix("a_b"), prefix("a-b"));
            for server in 0..3 {
                assert_eq!(names.owner(&names.exposed(server, "b_c")), Some((server, "b_c")), "{servers:?}");
            }
        }
        assert_eq!(names(&["a", "a_b", "a-b"]).prefix(2), "a-b-2_");
    }

    #[test]
    fn a_name_that_is_too_long_is_cut_and_marked() {
        let names = names(&["time"]);
        let (long, other) = ("x".repeat(60), format!("{}y", "x".repeat(59)));
        let exposed = names.exposed(0, &long);
        assert_eq!(exposed, format!("time_{}_1e0a5c93", "x".repeat(50)).replace("1e0a5c93", &exposed[56..]));
        assert!(exposed.len() == 64 && Names::is_short(&exposed));
        assert_ne!(exposed, names.exposed(0, &other));
        assert!(!Names::is_short("time_now") && !Names::is_short(&names.exposed(0, &"x".repeat(59))));
        assert!(Names::is_short(&names.exposed(0, &"ä".repeat(60))));
    }

    proptest! {
        #[test]
        fn every_name_leads_back_to_its_server(servers in prop::collection::hash_set("[ab_.-]{1,4}", 1..6), name in "[a-z_]{0,80}") {
            let servers: Vec<&str> = servers.iter().map(String::as_str).collect();
            let names = names(&servers);
            for server in 0..servers.len() {
                let exposed = names.exposed(server, &name);
                prop_assert!(exposed.len() <= MAX_NAME);
                let (owner, own) = names.owner(&exposed).unwrap();
                prop_assert_eq!(owner, server);
                prop_assert!(own == name || Names::is_short(&exposed));
            }
        }
    }
}
