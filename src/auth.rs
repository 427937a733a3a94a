//! Who calls whom by right: the credentials that the bridge shows to servers.
//!
//! Owns the bridge's part in OAuth as a client ([`client`]). Talks to authorization servers. It never hands a caller's
//! credentials on to a server, nor a server's to a caller.

pub mod client;
