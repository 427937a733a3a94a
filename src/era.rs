//! Between the eras: a modern caller at a legacy server, and a legacy caller at a modern server.
//!
//! Owns the two translations. Talks to peers alone: to a caller's envelopes on one side, to a server's on the other; the
//! registry puts a translation around a server, and only where the eras differ. It never knows a transport, and never
//! touches a message between two parties of the same era.

pub mod legacy_to_modern;
pub mod modern_to_legacy;
