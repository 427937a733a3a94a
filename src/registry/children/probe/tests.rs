//! Processes are names here, and their answers come when the test says so, by a clock that stands still otherwise.

use futures::FutureExt;
use tokio::time::sleep;

use super::*;
use crate::{message::code, pipe::Ended};

const MODERN: &str = r#"{"supportedVersions":["2026-07-28"]}"#;

fn result(text: &str) -> Asked {
    Asked::Answer(Frame::result("1", text), Vec::new())
}

fn refusal() -> Asked {
    Asked::Answer(Frame::error("1", code::METHOD_NOT_FOUND, "no", None), Vec::new())
}

fn end() -> Asked {
    Asked::Ended(Ended { message: "it exited".into(), data: None })
}

/// An answer so many seconds after the question; never at 0.
async fn after(seconds: u64, name: &'static str, asked: Asked) -> (&'static str, Asked) {
    match seconds {
        0 => pending().await,
        _ => sleep(Duration::from_secs(seconds)).await,
    }
    (name, asked)
}

/// The verdict, the time until it is there, and whether a second process was asked.
async fn raced(
    first: (u64, Asked),
    second: impl Future<Output = Option<(&'static str, Asked)>>,
) -> (Option<(&'static str, &'static str)>, u64, bool) {
    let begun = Instant::now();
    let mut told = false;
    let verdict = race(after(first.0, "first", first.1), second, || told = true, pending()).await;
    let verdict = verdict.map(|verdict| match verdict {
        Verdict::Modern(process, _) => ("modern", process),
        Verdict::NotModern(process) => ("not modern", process),
        Verdict::Legacy(process) => ("legacy", process),
    });
    (verdict, begun.elapsed().as_secs(), told)
}

#[tokio::test(start_paused = true)]
async fn a_server_that_answers_at_once_is_asked_on_one_process() {
    let never = || async { panic!("a second process") };
    assert_eq!(raced((4, result(MODERN)), never()).await, (Some(("modern", "first")), 4, false));
    assert_eq!(raced((4, refusal()), never()).await, (Some(("not modern", "first")), 4, false));
    assert_eq!(raced((4, end()), never()).await, (Some(("not modern", "first")), 4, false));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_silent_in_one_era_is_asked_in_the_other_and_the_first_answer_decides() {
    let second = |seconds, asked| after(seconds, "second", asked).map(Some);
    assert_eq!(raced((0, end()), second(1, result("{}"))).await, (Some(("legacy", "second")), 6, true));
    // It is fetched first: it is not taken for one that is older because of that.
    assert_eq!(raced((60, result(MODERN)), second(60, result("{}"))).await, (Some(("modern", "first")), 60, true));
    assert_eq!(raced((65, result(MODERN)), second(60, result("{}"))).await, (Some(("modern", "first")), 65, true));
    assert_eq!(raced((60, refusal()), second(60, result("{}"))).await, (Some(("not modern", "first")), 60, true));
}

#[tokio::test(start_paused = true)]
async fn a_second_process_that_says_nothing_of_use_settles_nothing() {
    for useless in [refusal(), end()] {
        let second = after(1, "second", useless).map(Some);
        assert_eq!(raced((100, result(MODERN)), second).await, (Some(("modern", "first")), 100, true));
    }
    assert_eq!(raced((100, result(MODERN)), async { None }).await, (Some(("modern", "first")), 100, true));
    assert_eq!(raced((0, end()), after(0, "second", end()).map(Some)).await, (None, 125, true), "no verdict");
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_a_silent_server_when_the_bridge_ends() {
    let begun = Instant::now();
    let stopped = sleep(Duration::from_secs(9));
    let silent = || after(0, "silent", end());
    assert!(race(silent(), silent().map(Some), || {}, stopped).await.is_none());
    assert_eq!(begun.elapsed().as_secs(), 9);
}

#[tokio::test(start_paused = true)]
async fn a_second_process_is_asked_once_and_not_while_the_first_may_still_be_starting() {
    let begun = Instant::now();
    let mut beside = Beside::after_silence();
    let asked = || after(10, "second", result(MODERN)).map(Some).boxed();
    // What is given up and taken up again goes on where it was.
    for _ in 0..4 {
        let a_while = timeout(Duration::from_secs(2), beside.verdict(asked)).await;
        assert!(a_while.is_err());
    }
    let verdict = beside.verdict(|| panic!("it is asked already")).await;
    assert!(matches!(verdict, Verdict::Modern("second", _)));
    assert_eq!(begun.elapsed(), SILENCE + Duration::from_secs(10));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_does_not_wait_for_silence_and_uses_what_was_asked() {
    let asked = || after(10, "second", result(MODERN)).map(Some).boxed();
    let patience = Duration::from_secs(30);
    let begun = Instant::now();
    assert!(Beside::after_silence().now(asked, patience).await.is_some());
    assert_eq!(begun.elapsed().as_secs(), 10);
    let mut beside = Beside::after_silence();
    assert!(timeout(Duration::from_secs(12), beside.verdict(asked)).await.is_err());
    assert!(beside.now(|| panic!("it is asked already"), patience).await.is_some());
    assert_eq!(begun.elapsed().as_secs(), 25);
    let silent = || after(0, "second", end()).map(Some).boxed();
    assert!(Beside::Never.now(silent, patience).await.is_none(), "and is not waited for without end");

    let mut beside = Beside::after_silence();
    let verdict = beside.verdict(|| after(1, "second", refusal()).map(Some).boxed()).await;
    assert!(matches!(verdict, Verdict::NotModern("second")));
    assert!(beside.now(|| panic!("it has said so"), patience).await.is_none());
}
