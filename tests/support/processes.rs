//! Who is alive: processes by a mark in their environment, and what one of them holds. Reads `/proc`.

use std::fs;

/// The variable that marks a program under test and, by inheritance, all its descendants.
pub const MARK: &str = "BRIDGE_UNDER_TEST";

/// A stdio server with helpers that have helpers of their own, for `--shell`: all ignore SIGTERM, and one of them has
/// left its process group and session.
pub const TREE: &str =
    r#"trap '' TERM INT HUP; sh -c "sh -c 'sleep 600 & setsid sleep 600 & wait' & wait" & exec "$DEMO" demo-server"#;

/// Processes of [`TREE`], the server included.
pub const TREE_SIZE: usize = 5;

/// Live processes with this mark, as pid and command line. A zombie's environment reads as empty.
pub fn marked(mark: &str) -> Vec<(i32, String)> {
    let wanted = format!("{MARK}={mark}");
    all().filter(|pid| has_variable(*pid, &wanted)).map(|pid| (pid, command_line(pid))).collect()
}

fn all() -> impl Iterator<Item = i32> {
    fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

fn has_variable(pid: i32, wanted: &str) -> bool {
    let Ok(environment) = fs::read(format!("/proc/{pid}/environ")) else { return false };
    environment.split(|byte| *byte == 0).any(|variable| variable == wanted.as_bytes())
}

fn command_line(pid: i32) -> String {
    let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&words).replace('\0', " ")
}

/// Ends what is left of a program under test.
pub fn kill_marked(mark: &str) {
    for (pid, _) in marked(mark) {
        signal(pid, rustix::process::Signal::KILL);
    }
}

pub fn signal(pid: i32, signal: rustix::process::Signal) {
    if let Some(pid) = rustix::process::Pid::from_raw(pid) {
        // It may have ended meanwhile.
        let _ = rustix::process::kill_process(pid, signal);
    }
}

pub fn is_alive(pid: i32) -> bool {
    // A zombie has ended; it waits to be reaped.
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| stat.rsplit(") ").next().is_some_and(|rest| !rest.starts_with(['Z', 'X'])))
}

/// Open descriptors.
pub fn descriptors(pid: i32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
}

/// Resident memory in KiB.
pub fn resident(pid: i32) -> usize {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
