//! `subscriptions/listen` over what a legacy server says by itself.

use std::sync::Arc;

use super::{
    front::Front,
    pool::{Key, Pool},
    request::Refusal,
};
use crate::message::code;

/// Serves one subscription until its caller, the server or the bridge ends it.
pub(super) async fn listen(_pool: &Arc<Pool>, _key: Key, _client: Option<&str>, front: Front) {
    front.refuse(Refusal::new(code::METHOD_NOT_FOUND, "subscriptions/listen is not served for this server"));
}
