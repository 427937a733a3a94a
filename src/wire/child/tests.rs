//! Children that behave in each way that children behave, played by `/bin/sh`.

use super::*;
use crate::{
    config::CallerEnv,
    peer::{Caller, Envelope, PEER_CAPACITY, Reply},
    pump::Role,
};
use tokio::sync::mpsc;

fn shell(script: &str) -> ChildSpec {
    ChildSpec {
        name: "test".into(),
        file: None,
        program: "/bin/sh".into(),
        args: vec!["-c".into(), script.into()],
        env: Vec::new(),
        caller_env: CallerEnv::default(),
        pass_env: PassEnv::All,
        cwd: None,
        stop: StopLadder { after_close: Duration::from_millis(100), after_term: Duration::from_millis(100) },
    }
}

struct Running {
    peer: Peer,
    exit: JoinHandle<Exit>,
    caller: Arc<Caller>,
}

fn start(spec: &ChildSpec) -> Running {
    start_in(&Scope::new(), spec)
}

fn start_in(scope: &Scope, spec: &ChildSpec) -> Running {
    let (ours, peer) = Peer::pair(PEER_CAPACITY);
    let caller = Caller::legacy(None);
    let rules = Rules {
        name: "test".into(),
        speaker: Caller::legacy(None),
        role: Role::Connect,
        max_in_flight: 8,
        max_waiting: 1 << 20,
        request_timeout: None,
        linger: Duration::ZERO,
        until: None,
    };
    let exit = super::start(spec, None, 1 << 20, None, scope).unwrap().run(ours, rules, scope);
    Running { peer, exit, caller }
}

impl Running {
    async fn ask(&self, id: u32) -> mpsc::Receiver<Envelope> {
        let (tx, rx) = mpsc::channel(8);
        let frame = Frame::request(&crate::message::Id::Number(id.into()), "tools/call", None);
        let reply = Reply::on(tx, &frame, &self.caller).await.unwrap();
        self.peer.tx.send(Envelope { from: self.caller.clone(), frame, reply: Some(reply) }).await.unwrap();
        rx
    }
}

/// The pid that a child tells in a notification's method.
async fn told_pid(running: &mut Running) -> i32 {
    running.peer.rx.recv().await.unwrap().frame.method().parse().unwrap()
}

fn is_alive(pid: i32) -> bool {
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::test_kill_process(pid).is_ok()
}

#[tokio::test]
async fn a_program_is_found_from_the_directory_that_it_starts_in() {
    // Below the directory that tests run in, so that it has a relative path.
    let dir = tempfile::tempdir_in("target").unwrap();
    let cwd = std::path::Path::new("target").join(dir.path().file_name().unwrap());
    std::fs::write(cwd.join("text"), "no program").unwrap();
    std::os::unix::fs::symlink("/bin/sh", cwd.join("server")).unwrap();
    let spec = |program: &str| ChildSpec { program: program.into(), cwd: Some(cwd.clone()), ..shell("exit 7") };
    assert_eq!(start(&spec("./server")).exit.await.unwrap().code, Some(7));
    let refused = resolve(&spec("./text")).unwrap_err().to_string();
    assert!(refused.contains("permission denied; check its path, and that the file is executable"), "{refused}");
}

#[tokio::test]
async fn a_crash_answers_every_call_with_exit_code_and_last_words() {
    let running = start(&shell("read a; read b; echo reason one >&2; echo 'reason two' >&2; exit 3"));
    let mut calls = [running.ask(1).await, running.ask(2).await];
    for call in &mut calls {
        let frame = call.recv().await.unwrap().frame;
        let error: serde_json::Value = serde_json::from_str(frame.body().unwrap()).unwrap();
        assert_eq!(error["code"], -32603);
        assert_eq!(error["message"], "the server test exited with code 3; its last words: reason two");
        assert_eq!(error["data"]["exitCode"], 3);
        assert_eq!(error["data"]["stderr"], serde_json::json!(["reason one", "reason two"]));
    }
    let exit = running.exit.await.unwrap();
    assert_eq!((exit.code, exit.asked), (Some(3), false));
}

#[tokio::test]
async fn a_child_that_ends_on_eof_is_not_signalled() {
    let running = start(&shell("trap 'exit 9' TERM; cat >/dev/null; exit 0"));
    drop(running.peer);
    let exit = running.exit.await.unwrap();
    assert_eq!((exit.code, exit.asked), (Some(0), true));
}

#[tokio::test]
async fn a_child_that_ignores_eof_and_sigterm_is_killed_with_its_descendants() {
    let script = r#"trap '' TERM; sh -c 'trap "" TERM; while :; do sleep 1; done' & 
        printf '{"jsonrpc":"2.0","method":"%s"}\n' $!; while :; do sleep 1; done"#;
    let mut running = start(&shell(script));
    let grandchild = told_pid(&mut running).await;
    assert!(is_alive(grandchild));
    drop(running.peer);
    let exit = running.exit.await.unwrap();
    assert_eq!((exit.signal, exit.asked), (Some(9), true));
    assert!(!group_left(grandchild).await, "the grandchild was in the group");
}

#[tokio::test]
async fn a_child_that_does_not_read_is_ended_all_the_same_and_every_call_answered() {
    let running = start(&shell("trap '' PIPE; while :; do sleep 1; done"));
    let (tx, mut answers) = mpsc::channel(16);
    // More than a pipe holds.
    let params = format!("\"{}\"", "x".repeat(400_000));
    for id in 0..3 {
        let frame = Frame::request(&crate::message::Id::Number(id), "tools/call", Some(&params));
        let reply = Reply::on(tx.clone(), &frame, &running.caller).await.unwrap();
        running.peer.tx.send(Envelope { from: running.caller.clone(), frame, reply: Some(reply) }).await.unwrap();
    }
    drop((tx, running.peer));
    assert!(running.exit.await.unwrap().asked);
    for _ in 0..3 {
        assert!(answers.recv().await.unwrap().frame.is_error());
    }
    assert!(answers.recv().await.is_none());
}

/// Whether a process stays alive; its reaping by init is awaited, since a zombie still answers to its number.
async fn group_left(pid: i32) -> bool {
    for _ in 0..200 {
        let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        if !is_alive(pid) || state.contains(") Z ") {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    true
}

#[tokio::test]
async fn a_descendant_that_outlives_the_child_is_ended_and_does_not_hold_the_answer_back() {
    let script = r#"sleep 600 & printf '{"jsonrpc":"2.0","method":"%s"}\n' $!; read a; exit 4"#;
    let mut running = start(&shell(script));
    let sleeper = told_pid(&mut running).await;
    let mut call = running.ask(1).await;
    // The sleeper holds stdout open: the answer comes all the same.
    assert!(call.recv().await.unwrap().frame.body().unwrap().contains("exited with code 4"));
    running.exit.await.unwrap();
    assert!(!group_left(sleeper).await);
}

#[cfg(target_os = "linux")] // setsid is a command of its own.
#[tokio::test]
async fn a_descendant_that_left_the_group_does_not_hold_the_end_back() {
    let scope = Scope::new();
    let mut running =
        start_in(&scope, &shell(r#"setsid sleep 600 & printf '{"jsonrpc":"2.0","method":"%s"}\n' $!; read a; exit 4"#));
    let sleeper = told_pid(&mut running).await;
    let mut call = running.ask(1).await;
    assert!(call.recv().await.unwrap().frame.body().unwrap().contains("exited with code 4"));
    drop(running.peer);
    assert!(scope.wait(Duration::from_secs(20)).await, "the sleeper holds stderr");
    let pid = rustix::process::Pid::from_raw(sleeper).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

#[tokio::test]
async fn garbage_on_stdout_is_skipped_and_the_last_frames_of_a_dead_child_arrive() {
    let script = r#"echo starting up; printf '{"jsonrpc":"2.0",'; echo; printf '{"jsonrpc":"2.0","method":"last"}\n'"#;
    let mut running = start(&shell(script));
    assert_eq!(running.peer.rx.recv().await.unwrap().frame.method(), "last");
    assert!(running.peer.rx.recv().await.is_none());
}

#[tokio::test]
async fn what_cannot_be_started_says_what_was_searched() {
    let mut spec = shell("");
    spec.program = "no-such-program".into();
    spec.env = vec![("PATH".into(), crate::config::Secret::new("/nowhere:/else"))];
    let error = super::start(&spec, None, 1, None, &Scope::new()).err().unwrap();
    let text = "cannot start \"no-such-program\": not found in PATH (/nowhere:/else); give its full path, or set PATH with --env";
    assert_eq!(error.to_string(), text);
    spec.cwd = Some("/no/such/dir".into());
    assert!(matches!(resolve(&spec), Err(SpawnError::Cwd { .. })));
}

#[test]
fn what_a_file_asks_for_and_cannot_be_started_is_to_be_put_right_there() {
    let said = |program: &str, cwd: Option<&str>| {
        let env = vec![("PATH".into(), crate::config::Secret::new("/nowhere"))];
        let (file, cwd) = (Some("mcp.json".into()), cwd.map(Into::into));
        resolve(&ChildSpec { file, program: program.into(), env, cwd, ..shell("") }).unwrap_err().to_string()
    };
    assert_eq!(
        said("no-such-program", None),
        "cannot start \"no-such-program\": not found in PATH (/nowhere); write its full path for \
         server \"test\" in mcp.json, or set PATH in that server's \"env\""
    );
    let refused = said("/no/such", None);
    assert!(refused.ends_with("; check its path for server \"test\" in mcp.json, and that the file is executable"));
    let nowhere = said("x", Some("/no/such/dir"));
    let directory = "the directory of \"cwd\" for server \"test\" in mcp.json, \"/no/such/dir\", cannot be entered";
    assert!(nowhere.contains(directory), "{nowhere}");
}

#[test]
fn the_bridges_own_variables_are_no_childs_business() {
    let pass = |rule: &PassEnv, name: &str| passes(rule, OsStr::new(name));
    assert!(pass(&PassEnv::All, "HOME"));
    assert!(!pass(&PassEnv::All, "MCP_BRIDGE_BEARER"));
    let some = PassEnv::Only(vec!["PATH".into(), "NODE_*".into()]);
    assert!(pass(&some, "PATH") && pass(&some, "NODE_OPTIONS"));
    assert!(!pass(&some, "HOME") && !pass(&some, "PATHS"));
}

#[tokio::test]
async fn a_child_that_ends_at_once_when_its_stdin_closes_has_not_crashed() {
    for _ in 0..16 {
        let spec = shell("exit 0");
        let mut group = Group::spawn(command(&spec, std::path::Path::new("/bin/sh"), None)).unwrap();
        group.wait().await.unwrap();
        let (closed, told) = oneshot::channel();
        drop(closed);
        // Both are known by now: the end, and that it was asked for.
        let exit = supervise(group, told, spec.stop, "test", watch::channel(None).0).await;
        assert!(exit.asked);
    }
}
