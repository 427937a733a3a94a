//! Who calls whom by right: the credentials that the bridge shows to servers, and those that it asks of its callers.
//!
//! Owns the bridge's part in OAuth as a client ([`client`]) and as a protected resource ([`resource`]). Talks to
//! authorization servers. It never hands a caller's credentials on to a server, nor a server's to a caller.

pub mod client;
pub mod resource;
