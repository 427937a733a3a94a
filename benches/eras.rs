//! Eras: what translation costs over none, and what a modern caller pays beside a legacy one.
//!
//! Here nothing is compared with the floor, which knows one era: each figure stands beside the same call without
//! translation, or of the other era, measured in turn with it.
//!
//! | part | owns |
//! |---|---|
//! | [`inside`] | the translations alone, between scripted peers in memory |
//! | [`served`] | the release binary over HTTP, each era in front of each era, and how long a call waits for a start |
//! | [`parked`] | what calls hold that wait for their caller, in a process of its own |

mod inside;
pub mod parked;
mod served;

use crate::Outcome;
use crate::report::Report;

/// The metadata of a modern request.
pub const META: &str = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},"io.modelcontextprotocol/clientInfo":{"name":"bench","version":"1"}}"#;

/// All of it.
pub async fn measure(report: &mut Report, only: &str) -> Outcome<()> {
    if "in memory".contains(only) {
        inside::measure(report).await?;
    }
    if "over HTTP".contains(only) {
        served::measure(report).await?;
    }
    if "visits".contains(only) {
        served::visits(report).await?;
    }
    if "a slow start".contains(only) {
        served::warm(report).await?;
    }
    if "parked".contains(only) {
        parked::measure(report)?;
    }
    Ok(())
}
