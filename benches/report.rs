//! What is printed: three tables in Markdown, under the machine, the date, its load and the command.
//!
//! Owns the rows and the list of what went wrong. Talks to nobody. It never judges a time; it shows which aims are met.

use std::fmt::{self, Display, Formatter};
use std::time::SystemTime;

/// Collects what is measured.
#[derive(Debug)]
pub struct Report {
    pub quick: bool,
    command: String,
    load_before: String,
    calls: Vec<[String; 10]>,
    rows: Vec<[String; 6]>,
    beside: Vec<[String; 6]>,
    wrong: Vec<String>,
}

/// What a figure is aimed at.
#[derive(Debug, Clone, Copy)]
pub enum Aim {
    /// The bridge's figure divided by the floor's, at most.
    RatioAtMost(f64),
    /// The bridge's figure divided by the floor's, at least.
    RatioAtLeast(f64),
    /// The bridge's figure itself, at most.
    AtMost(f64),
    None,
}

/// The median. The values need not be sorted.
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Three digits that count.
pub fn number(value: f64) -> String {
    match value {
        value if value.is_nan() => "–".into(),
        value if value >= 100.0 => format!("{value:.0}"),
        value if value >= 10.0 => format!("{value:.1}"),
        value => format!("{value:.2}"),
    }
}

fn mark(text: String, met: bool) -> String {
    if met { text } else { format!("**{text}**") }
}

impl Report {
    pub fn new(quick: bool, words: &[&str]) -> Report {
        let args: Vec<&str> = words.iter().copied().filter(|word| *word != "--bench").collect();
        let command = format!("cargo bench -- {}", args.join(" "));
        let command = command.trim_end().trim_end_matches(" --").to_owned();
        Report {
            quick,
            command,
            load_before: load(),
            calls: Vec::new(),
            rows: Vec::new(),
            beside: Vec::new(),
            wrong: Vec::new(),
        }
    }

    /// One shape of calls: what it is, and for latency (p50, p99, ms), calls a second and processor time a call (us)
    /// the bridge's median and the ratio to the floor.
    pub fn calls(&mut self, what: String, callers: usize, depth: usize, values: [(f64, f64, Aim); 4]) {
        let mut row = vec![what, format!("{callers} × {depth}")];
        for (value, ratio, aim) in values {
            row.push(number(value));
            row.push(mark(format!("{ratio:.2}"), aim.is_met(value, ratio)));
        }
        eprintln!("{}", row.join(" | "));
        if let Ok(row) = row.try_into() {
            self.calls.push(row);
        }
    }

    /// One figure of both.
    pub fn row(&mut self, what: impl Into<String>, unit: &str, bridge: f64, floor: f64, ratio: f64, aim: Aim) {
        let ratio_text = if ratio.is_nan() { "–".into() } else { format!("{ratio:.2}") };
        let met = match aim {
            Aim::None => "–",
            aim if aim.is_met(bridge, ratio) => "yes",
            _ => "**no**",
        };
        let row = [
            what.into(),
            format!("{} {unit}", number(bridge)),
            if floor.is_nan() { "–".into() } else { format!("{} {unit}", number(floor)) },
            ratio_text,
            aim.words(unit),
            met.into(),
        ];
        eprintln!("{}", row.join(" | "));
        self.rows.push(row);
    }

    /// A figure that stands alone, or beside another of the bridge's own; at most so much.
    pub fn alone(&mut self, what: impl Into<String>, unit: &str, ours: f64, beside: f64, most: Option<f64>) {
        self.beside_row(
            what.into(),
            unit,
            [ours, beside],
            String::new(),
            most.map(|most| (ours <= most, format!("≤ {most} {unit}"))),
        );
    }

    /// One that may be so much more than what it stands beside.
    pub fn more(&mut self, what: String, unit: &str, ours: f64, beside: f64, more: f64, most: Option<f64>) {
        let aim = most.map(|most| (more <= most, format!("≤ {most} {unit} more")));
        self.beside_row(what, unit, [ours, beside], format!("{} {unit} more", number(more)), aim);
    }

    /// One that may be so many times what it stands beside.
    pub fn times(&mut self, what: String, unit: &str, ours: f64, beside: f64, ratio: f64, most: Option<f64>) {
        let aim = most.map(|most| (ratio <= most, format!("≤ {most} ×")));
        let ratio = if ratio < 0.01 { "< 0.01 ×".to_owned() } else { format!("{ratio:.2} ×") };
        self.beside_row(what, unit, [ours, beside], ratio, aim);
    }

    fn beside_row(&mut self, what: String, unit: &str, figures: [f64; 2], apart: String, aim: Option<(bool, String)>) {
        let [ours, beside] = figures.map(|figure| match figure.is_nan() {
            true => "–".to_owned(),
            false => format!("{} {unit}", number(figure)),
        });
        let (met, aim) = match aim {
            None => ("–", "–".to_owned()),
            Some((met, aim)) => (if met { "yes" } else { "**no**" }, aim),
        };
        let row = [what, ours, beside, if apart.is_empty() { "–".into() } else { apart }, aim, met.into()];
        eprintln!("{}", row.join(" | "));
        self.beside.push(row);
    }

    /// Something that must never be.
    pub fn wrong(&mut self, what: impl Into<String>) {
        let what = what.into();
        eprintln!("WRONG: {what}");
        self.wrong.push(what);
    }

    pub fn is_right(&self) -> bool {
        self.wrong.is_empty()
    }
}

impl Aim {
    fn is_met(self, value: f64, ratio: f64) -> bool {
        match self {
            Aim::RatioAtMost(most) => ratio <= most,
            Aim::RatioAtLeast(least) => ratio >= least,
            Aim::AtMost(most) => value <= most,
            Aim::None => true,
        }
    }

    fn words(self, unit: &str) -> String {
        match self {
            Aim::RatioAtMost(most) => format!("≤ {most} ×"),
            Aim::RatioAtLeast(least) => format!("≥ {least} ×"),
            Aim::AtMost(most) => format!("≤ {most} {unit}"),
            Aim::None => "–".into(),
        }
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: `{}`", date(), self.command)?;
        writeln!(f, "Machine: {}. Load: {} before, {} after.\n", machine(), self.load_before, load())?;
        if !self.calls.is_empty() {
            writeln!(f, "Bridge's figure, then the ratio to the floor (bold: beyond the aim of p50 ≤ 1.3, p99 ≤ 1.5,")?;
            writeln!(f, "calls/s ≥ 0.7, CPU ≤ 1.5):\n")?;
            writeln!(f, "| calls | callers × in flight | p50 ms | × | p99 ms | × | calls/s | × | CPU µs/call | × |")?;
            writeln!(f, "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|")?;
            for row in &self.calls {
                writeln!(f, "| {} |", row.join(" | "))?;
            }
            writeln!(f)?;
        }
        if !self.rows.is_empty() {
            writeln!(f, "| what | bridge | floor | ratio | aim | met |\n|---|--:|--:|--:|--:|---|")?;
            for row in &self.rows {
                writeln!(f, "| {} |", row.join(" | "))?;
            }
            writeln!(f)?;
        }
        if !self.beside.is_empty() {
            writeln!(
                f,
                "Beside what the row names. Of eras: in memory, the same call without translation; over HTTP, a"
            )?;
            writeln!(f, "legacy call in a session; for a slow start, the first call:\n")?;
            writeln!(f, "| what | figure | beside | apart | aim | met |\n|---|--:|--:|--:|--:|---|")?;
            for row in &self.beside {
                writeln!(f, "| {} |", row.join(" | "))?;
            }
            writeln!(f)?;
        }
        match self.wrong.is_empty() {
            true => writeln!(f, "Nothing lost, nothing out of order, no session failed, nothing left behind."),
            false => self.wrong.iter().try_for_each(|what| writeln!(f, "- WRONG: {what}")),
        }
    }
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

fn load() -> String {
    read("/proc/loadavg").split(' ').next().unwrap_or("unknown").to_owned()
}

fn machine() -> String {
    let cpus = read("/proc/cpuinfo");
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let count = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = read("/proc/sys/kernel/osrelease");
    let release = kernel.split('-').next().unwrap_or_default().trim();
    format!("{count} × {}, Linux {release}", model.map_or("unknown", |(_, model)| model))
}

/// Today, UTC. The days of a date as in Howard Hinnant's `civil_from_days`.
fn date() -> String {
    let days = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs() / 86_400);
    let z = days + 719_468;
    let (era, doe) = (z / 146_097, z % 146_097);
    let yoe = (doe - doe / 1_460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let (day, month) = (doy - (153 * mp + 2) / 5 + 1, if mp < 10 { mp + 3 } else { mp - 9 });
    format!("{}-{month:02}-{day:02}", yoe + era * 400 + u64::from(month <= 2))
}
