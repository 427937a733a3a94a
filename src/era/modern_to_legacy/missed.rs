//! What a server says about a call that is parked: progress and log lines, which wait for the stream of the retry.
//!
//! Owns the bound on what waits. Talks to nobody. It holds no memory while nothing came, and never keeps alive the buffer
//! that a message was read into.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::{message::Frame, protocol::method};

/// Messages that are kept for one call. A server that reports at a steady pace while a user thinks would else fill memory.
pub(super) const MAX_COUNT: usize = 64;

/// The same in bytes of JSON. Thousands of calls may be parked.
const MAX_BYTES: usize = 16 * 1024;

/// The messages, in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Missed(Option<Box<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    frames: VecDeque<Frame>,
    bytes: usize,
    dropped: usize,
}

impl Missed {
    /// Keeps one more. Beyond the bound the oldest goes, but the newest progress stays: it tells how far the call is.
    pub(super) fn keep(&mut self, frame: &Frame) {
        let kept = self.0.get_or_insert_default();
        let bytes = frame.bytes();
        let own = || Frame::parse(Bytes::copy_from_slice(bytes)).ok();
        let Some(own) = Some(bytes.len()).filter(|len| *len <= MAX_BYTES).and_then(|_| own()) else {
            kept.dropped += 1;
            return;
        };
        kept.bytes += bytes.len();
        kept.frames.push_back(own);
        while kept.frames.len() > MAX_COUNT || kept.bytes > MAX_BYTES {
            kept.drop_one();
        }
    }

    /// Takes all out; and how many had to be dropped.
    pub(super) fn take(&mut self) -> (VecDeque<Frame>, usize) {
        self.0.take().map(|kept| (kept.frames, kept.dropped)).unwrap_or_default()
    }
}

impl Kept {
    fn drop_one(&mut self) {
        let newest = self.frames.iter().rposition(|frame| frame.method() == method::PROGRESS);
        let gone = self.frames.remove(usize::from(newest == Some(0)));
        self.bytes -= gone.map_or(0, |frame| frame.bytes().len());
        self.dropped += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(at: usize) -> Frame {
        Frame::notification(method::PROGRESS, Some(&format!(r#"{{"progressToken":1,"progress":{at}}}"#)))
    }

    fn line(len: usize) -> Frame {
        Frame::notification(method::MESSAGE, Some(&format!(r#"{{"level":"info","data":"{}"}}"#, "x".repeat(len))))
    }

    fn texts(frames: &VecDeque<Frame>) -> Vec<&str> {
        frames.iter().filter_map(Frame::body).collect()
    }

    #[test]
    fn what_comes_is_kept_in_order_and_the_oldest_goes_first() {
        let mut missed = Missed::default();
        assert_eq!(missed.take().0.len(), 0);
        (0..MAX_COUNT + 3).for_each(|at| missed.keep(&progress(at)));
        let (frames, dropped) = missed.take();
        assert_eq!(dropped, 3);
        let wanted: Vec<_> = (3..MAX_COUNT + 3).map(progress).collect();
        assert_eq!(texts(&frames), wanted.iter().filter_map(Frame::body).collect::<Vec<_>>());
        assert_eq!(missed.take().0.len(), 0, "taken once");
    }

    #[test]
    fn log_lines_do_not_drive_out_the_newest_progress() {
        let mut missed = Missed::default();
        (0..2).for_each(|at| missed.keep(&progress(at)));
        (0..MAX_COUNT).for_each(|_| missed.keep(&line(1)));
        let (frames, dropped) = missed.take();
        assert_eq!((frames.len(), dropped), (MAX_COUNT, 2));
        assert_eq!(texts(&frames).first(), progress(1).body().as_ref());
        missed.keep(&progress(7));
        (0..5).for_each(|_| missed.keep(&line(MAX_BYTES / 2)));
        let (frames, dropped) = missed.take();
        assert!(frames.iter().map(|frame| frame.bytes().len()).sum::<usize>() <= MAX_BYTES);
        assert_eq!((texts(&frames).first(), dropped), (progress(7).body().as_ref(), 4));
    }

    #[test]
    fn what_is_too_large_is_dropped_alone() {
        let mut missed = Missed::default();
        missed.keep(&progress(1));
        missed.keep(&line(MAX_BYTES));
        let (frames, dropped) = missed.take();
        assert_eq!((frames.len(), dropped), (1, 1));
    }

    #[test]
    fn a_call_about_which_nothing_was_said_holds_one_pointer() {
        assert_eq!(size_of::<Missed>(), size_of::<usize>());
    }
}
