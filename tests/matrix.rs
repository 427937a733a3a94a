//! Every source with every output, from the table of wires: the script of [`crate::eras::script`] (lists, tools, progress,
//! 1 MiB, errors, log lines, elicitation, sampling, roots, cancellation, subscriptions) in both eras, at servers of each
//! era. Prints a table; `cargo test --test main matrix -- --nocapture` shows it.

use std::fmt::Write as _;

use mcp_bridge::wire::{WIRES, Wire};
use tokio::task::JoinSet;

use crate::{
    eras::{
        place::{Door, Offer, Place},
        script,
    },
    support::user::Era,
};

/// Pairs at the same time. Each is up to three processes, with servers.
const AT_ONCE: usize = 4;

/// One field of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Pairing {
    source: Wire,
    output: Wire,
    offer: Offer,
    client: Era,
}

/// How a user comes in by a wire, and in which eras.
fn door(wire: Wire) -> (Door, &'static [Era]) {
    match wire {
        Wire::Stdio => (Door::Connect, &[Era::Legacy, Era::Modern]),
        Wire::Http => (Door::Http, &[Era::Legacy, Era::Modern]),
        // It ended with the legacy era.
        Wire::Sse => (Door::Sse, &[Era::Legacy]),
        Wire::Ws => (Door::Ws, &[Era::Legacy, Era::Modern]),
    }
}

fn pairings() -> Vec<Pairing> {
    let mut all = Vec::new();
    for (source, output) in WIRES.iter().flat_map(|source| WIRES.iter().map(move |output| (source.wire, output.wire))) {
        for offer in [Offer::Legacy, Offer::Modern] {
            all.extend(door(output).1.iter().map(|client| Pairing { source, output, offer, client: *client }));
        }
    }
    all
}

async fn run(pairing: Pairing) {
    let Pairing { source, output, offer, client } = pairing;
    let place = Place::pair(source, output, offer).await;
    let user = place.user(door(output).0, client).await;
    script::run(user, &place).await;
    place.stop().await;
}

#[tokio::test]
async fn every_source_is_served_over_every_wire_in_both_eras() {
    let all = pairings();
    let mut waiting = all.iter().copied();
    let mut running = JoinSet::new();
    let mut good = Vec::new();
    loop {
        while running.len() < AT_ONCE
            && let Some(pairing) = waiting.next()
        {
            running.spawn(async move {
                run(pairing).await;
                pairing
            });
        }
        // One that fails has said why, and is not among the good ones.
        match running.join_next().await {
            Some(done) => good.extend(done),
            None => break,
        }
    }
    println!("{}", table(&all, &good));
    let failed: Vec<_> = all.iter().filter(|pairing| !good.contains(pairing)).collect();
    assert!(failed.is_empty(), "{failed:#?}");
}

/// Sources down, outputs across; each field has one word for each era of the client.
fn table(all: &[Pairing], good: &[Pairing]) -> String {
    let mut text = format!("{:<26}", "source, its era");
    WIRES.iter().for_each(|output| _ = write!(text, "{:<26}", format!("to {}", output.title)));
    for (source, offer) in WIRES.iter().flat_map(|source| [(source, Offer::Legacy), (source, Offer::Modern)]) {
        _ = write!(text, "\n{:<26}", format!("{}, {}", source.title, offer.word()));
        for output in WIRES {
            let word = |client| {
                let pairing = Pairing { source: source.wire, output: output.wire, offer, client };
                match (all.contains(&pairing), good.contains(&pairing)) {
                    (false, _) => "-",
                    (true, true) => "ok",
                    (true, false) => "FAILED",
                }
            };
            let field = format!("legacy {}, modern {}", word(Era::Legacy), word(Era::Modern));
            _ = write!(text, "{field:<26}");
        }
    }
    text
}
