//! The wires: each is a function that starts tasks and works one end of a [`crate::peer::Peer::pair`].

pub mod event_stream;
