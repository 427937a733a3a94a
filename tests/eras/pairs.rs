//! Every pairing of eras over every pair of wires.

use super::{
    place::{Door, OFFERS, Offer, Place},
    script,
};
use crate::support::{client::Kind, user::Era};

/// Runs the script for each of these users at the same time.
async fn together(place: &Place, users: &[(Door, Era)]) {
    let runs = users.iter().map(|(door, era)| async {
        let user = place.user(*door, *era).await;
        script::run(user, place).await;
    });
    futures::future::join_all(runs.map(Box::pin)).await;
}

/// A server that speaks the client's era is never asked in the other one.
fn no_other_era(place: &Place, era: Era) {
    if place.offer == Offer::Both {
        let other = match era {
            Era::Legacy => "server/discover",
            Era::Modern => "initialize",
        };
        assert_eq!(place.count(other), 0, "{other} at a server of both eras");
    }
}

/// Legacy sessions of both transports and modern exchanges, from one command, at one endpoint.
#[tokio::test]
async fn sessions_and_exchanges_are_served_side_by_side() {
    for offer in OFFERS {
        let place = Place::bridge(&["serve"], offer).await;
        together(&place, &[(Door::Http, Era::Legacy), (Door::Http, Era::Modern), (Door::Sse, Era::Legacy)]).await;
        place.stop().await;
    }
}

#[tokio::test]
async fn a_shared_server_serves_both_eras() {
    for offer in OFFERS {
        let place = Place::bridge(&["stdio-to-http", "--shared"], offer).await;
        together(&place, &[(Door::Http, Era::Modern), (Door::Http, Era::Legacy)]).await;
        place.stop().await;
    }
}

#[tokio::test]
async fn a_stateless_bridge_serves_both_eras() {
    for offer in OFFERS {
        let place = Place::bridge(&["stdio-to-http", "--stateless"], offer).await;
        together(&place, &[(Door::Http, Era::Legacy), (Door::Http, Era::Modern)]).await;
        place.stop().await;
    }
}

#[tokio::test]
async fn each_era_alone_over_streamable_http() {
    for (offer, era) in OFFERS.into_iter().flat_map(|offer| [(offer, Era::Modern), (offer, Era::Legacy)]) {
        let place = Place::bridge(&["stdio-to-http"], offer).await;
        together(&place, &[(Door::Http, era)]).await;
        no_other_era(&place, era);
        place.stop().await;
    }
}

#[tokio::test]
async fn clients_of_the_older_transport_use_servers_of_each_era() {
    for offer in OFFERS {
        let place = Place::bridge(&["stdio-to-sse"], offer).await;
        together(&place, &[(Door::Sse, Era::Legacy)]).await;
        no_other_era(&place, Era::Legacy);
        place.stop().await;
    }
}

#[tokio::test]
async fn a_stdio_client_of_each_era_reaches_a_url_of_each_era() {
    for (offer, era) in OFFERS.into_iter().flat_map(|offer| [(offer, Era::Modern), (offer, Era::Legacy)]) {
        let place = Place::remote(Kind::Http, offer).await;
        together(&place, &[(Door::Connect, era)]).await;
        no_other_era(&place, era);
        place.stop().await;
    }
}

#[tokio::test]
async fn a_stdio_client_of_each_era_reaches_a_server_of_the_older_transport() {
    let place = Place::remote(Kind::Sse, Offer::Legacy).await;
    together(&place, &[(Door::Connect, Era::Modern), (Door::Connect, Era::Legacy)]).await;
    place.stop().await;
}

#[tokio::test]
async fn a_stdio_client_of_each_era_reaches_a_stdio_server_of_each_era_through_two_bridges() {
    for offer in OFFERS {
        let place = Place::bridge(&["serve"], offer).await;
        together(&place, &[(Door::Connect, Era::Modern), (Door::Connect, Era::Legacy)]).await;
        place.stop().await;
    }
}
