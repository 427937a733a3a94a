//! Two eras, one bridge: clients of either at servers of either, over every pair of wires.
//!
//! | module | what it holds |
//! |---|---|
//! | `place` | where the servers are: behind a bridge that listens, at a URL, behind two bridges |
//! | `script` | the calls that every pairing has to serve |
//! | `pairs` | that script, in every pairing, over every pair of wires |
//! | `odd` | servers of no era, of the wrong one, and such as end or ask when they should not |
//! | `parked` | calls that wait for their caller: what a restart of the bridge and other callers make of them |
//! | `verdicts` | which era a server is asked in, how often, and what makes the bridge ask anew |
//! | `news` | subscriptions to servers that end or restart |
//! | `ending` | SIGTERM in the middle of everything |
//!
//! The translations have tests of their own beside the code, for what needs a clock or a server in memory.

mod ending;
mod news;
mod odd;
mod pairs;
mod parked;
pub mod place;
pub mod script;
mod verdicts;

use crate::support::{
    client::{Client, initialize},
    program::Bridge,
    user::{LEGACY, User},
};

fn modern(bridge: &Bridge) -> User {
    User::modern(Client::modern(bridge.addr, "/mcp"))
}

/// A legacy client that has asked for a session, as request `"0"`, and waits.
async fn knocking(bridge: &Bridge) -> Client {
    let mut client = Client::http(bridge.addr, "/mcp");
    client.send(&initialize("0", LEGACY)).await;
    client
}
