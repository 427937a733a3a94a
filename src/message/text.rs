//! Texts of errors that more than one module gives.
//!
//! Owns the words, and how they are known again. Talks to nobody.

use std::time::Duration;

/// With [`super::code::CANCELLED`].
pub const CANCELLED: &str = "the request was cancelled by its caller";
/// With [`super::code::LIMIT`]: nobody else is to wait for this caller.
pub const CUT_OFF: &str = "cut off: this client reads too slowly for a shared server";
/// With [`super::code::INTERNAL`]: a client's time for answers is over.
pub const LEFT: &str = "the client closed its side, and the server did not answer within --grace; whether the request was \
     carried out is not known";

const LATE: &str = "the server did not answer within";

/// With [`super::code::LIMIT`]: `--request-timeout` was met.
pub fn late(limit: Duration) -> String {
    let limit = limit.as_secs_f64();
    format!("{LATE} {limit} s; raise --request-timeout if the call may take longer")
}

/// Whether a text is one of [`late`].
pub fn is_late(text: &str) -> bool {
    text.starts_with(LATE)
}
