//! What a subscription is about, and which of a server's notices belong to it. Pure.

use std::collections::HashSet;

use crate::{
    json::{self, Object, quote},
    message::{Frame, code},
    protocol::{LISTS, List, meta, method},
};

use super::super::request::Refusal;

/// URIs of one subscription, and the longest of them, in bytes. They are remembered for as long as it lives; more would
/// be an attack on that memory.
const MAX_URIS: (usize, usize) = (1024, 8 * 1024);

/// What notices somebody wants (2026-07-28, Subscriptions, Notification Filter).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in super::super) struct Filter {
    /// In the order of [`LISTS`].
    lists: [bool; 3],
    /// Each once, in the caller's order.
    pub(super) uris: Vec<Box<str>>,
}

impl Filter {
    /// Reads the params of `subscriptions/listen`.
    pub(super) fn read(params: Option<&str>) -> Result<Filter, Refusal> {
        let bad = |text: String| Refusal::new(code::INVALID_PARAMS, text);
        let params = params.and_then(Object::parse).unwrap_or_default();
        let wanted = params.get("notifications").and_then(Object::parse);
        let wanted = wanted.ok_or_else(|| bad("subscriptions/listen needs \"notifications\", an object".into()))?;
        let mut filter = Filter::default();
        for (on, list) in filter.lists.iter_mut().zip(LISTS) {
            *on = match wanted.get(list.filter) {
                None | Some("false") => false,
                Some("true") => true,
                Some(_) => return Err(bad(format!("notifications.{} must be true or false", list.filter))),
            };
        }
        let Some(uris) = wanted.get("resourceSubscriptions") else { return Ok(filter) };
        let strings = || json::array(uris)?.into_iter().map(json::string).collect::<Option<Vec<_>>>();
        let uris =
            strings().ok_or_else(|| bad("notifications.resourceSubscriptions must be an array of URIs".into()))?;
        let (most, longest) = MAX_URIS;
        if uris.len() > most || uris.iter().any(|uri| uri.len() > longest) {
            let text = format!("a subscription may have {most} URIs of {longest} bytes each; open several");
            return Err(Refusal::new(code::LIMIT, text));
        }
        let mut seen = HashSet::new();
        filter.uris = uris.iter().filter(|uri| seen.insert(&***uri)).map(|uri| (&**uri).into()).collect();
        Ok(filter)
    }

    /// What of it a server can do, by what it `offers`; the URIs are to be asked for.
    pub(super) fn honoured(&self, offers: impl Fn(&[&str]) -> bool) -> Filter {
        let mut filter = self.clone();
        for (on, list) in filter.lists.iter_mut().zip(LISTS) {
            *on &= offers(&[list.capability, "listChanged"]);
        }
        if !offers(&["resources", "subscribe"]) {
            filter.uris.clear();
        }
        filter
    }

    /// The lists that are wanted.
    fn lists(&self) -> impl Iterator<Item = List> {
        self.lists.iter().zip(LISTS).filter(|(on, _)| **on).map(|(_, list)| list)
    }

    /// Whether there is nothing to wait for.
    pub(super) fn is_empty(&self) -> bool {
        !self.lists.contains(&true) && self.uris.is_empty()
    }

    /// About how many bytes the URIs hold.
    pub(super) fn weight(&self) -> usize {
        self.uris.iter().map(|uri| uri.len() + size_of::<Box<str>>()).sum()
    }

    /// Whether a server's notice is wanted.
    pub(super) fn wants(&self, notice: &Frame) -> bool {
        if notice.method() == method::RESOURCE_UPDATED {
            let params = notice.body().and_then(Object::parse).unwrap_or_default();
            let uri = params.get("uri").and_then(json::string);
            return uri.is_some_and(|uri| self.uris.iter().any(|subscribed| covers(subscribed, &uri)));
        }
        self.lists().any(|list| list.changed == notice.method())
    }

    /// The first message of the subscription `id` (JSON text): what is honoured.
    pub(super) fn acknowledgement(&self, id: &str) -> Frame {
        let mut honoured = Object::new();
        for list in self.lists() {
            honoured.set(list.filter, "true");
        }
        if !self.uris.is_empty() {
            honoured.set("resourceSubscriptions", json::join(self.uris.iter().map(|uri| quote(uri))));
        }
        let mut params = Object::new();
        params.set("notifications", honoured.to_string());
        Frame::notification(method::ACKNOWLEDGED, Some(&stamped(params, id)))
    }

    /// A notice of everything: for the subscription `id`, which may have missed some.
    pub(super) fn everything(&self, id: &str) -> Vec<Frame> {
        let lists = self.lists().map(|list| Frame::notification(list.changed, Some(&stamped(Object::new(), id))));
        let updated = self.uris.iter().map(|uri| {
            let mut params = Object::new();
            params.set("uri", quote(uri));
            Frame::notification(method::RESOURCE_UPDATED, Some(&stamped(params, id)))
        });
        lists.chain(updated).collect()
    }
}

/// A subscription covers the resource and what lies below it (2025-11-25, Resources, Subscriptions: an update may name a
/// sub-resource).
fn covers(subscribed: &str, uri: &str) -> bool {
    uri.strip_prefix(subscribed)
        .is_some_and(|rest| rest.is_empty() || subscribed.ends_with('/') || rest.starts_with('/'))
}

/// A server's notice as the subscription `id` brings it.
pub(super) fn copy(notice: &Frame, id: &str) -> Frame {
    let params = notice.body().and_then(Object::parse).unwrap_or_default();
    Frame::notification(notice.method(), Some(&stamped(params, id)))
}

fn stamped(mut params: Object<'_>, id: &str) -> String {
    let mut inner = params.get("_meta").and_then(Object::parse).unwrap_or_default();
    inner.set(meta::SUBSCRIPTION_ID, id);
    let inner = inner.to_string();
    params.set("_meta", inner);
    params.to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn filter(notifications: Value) -> Filter {
        Filter::read(Some(&json!({ "notifications": notifications }).to_string())).unwrap()
    }

    fn text(frame: &Frame) -> &str {
        std::str::from_utf8(frame.bytes()).unwrap()
    }

    fn notice(text: &str) -> Frame {
        Frame::parse(bytes::Bytes::copy_from_slice(text.as_bytes())).unwrap()
    }

    #[test]
    fn the_acknowledgement_names_what_the_server_can_do() {
        let wanted = filter(json!({
            "toolsListChanged": true, "promptsListChanged": true, "resourcesListChanged": false,
            "resourceSubscriptions": ["file:///a", "file:///a"],
        }));
        let honoured = wanted.honoured(|path| matches!(path, ["tools", "listChanged"] | ["resources", "subscribe"]));
        assert_eq!(
            text(&honoured.acknowledgement("\"L1\"")),
            r#"{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{"notifications":{"toolsListChanged":true,"resourceSubscriptions":["file:///a"]},"_meta":{"io.modelcontextprotocol/subscriptionId":"L1"}}}"#
        );
        let nothing = wanted.honoured(|_| false);
        assert!(nothing.is_empty() && !honoured.is_empty());
        assert!(
            text(&nothing.acknowledgement("1.0"))
                .contains(r#"{"notifications":{},"_meta":{"io.modelcontextprotocol/subscriptionId":1.0}}"#)
        );
    }

    #[test]
    fn a_notice_goes_to_those_who_asked_for_it() {
        let wanted = filter(json!({ "toolsListChanged": true, "resourceSubscriptions": ["file:///a", "db:x/"] }));
        for (method, params, is_wanted) in [
            ("notifications/tools/list_changed", "{}", true),
            ("notifications/prompts/list_changed", "{}", false),
            ("notifications/resources/list_changed", "{}", false),
            ("notifications/resources/updated", r#"{"uri":"file:///a"}"#, true),
            ("notifications/resources/updated", r#"{"uri":"file:\/\/\/a\/b"}"#, true),
            ("notifications/resources/updated", r#"{"uri":"file:///ab"}"#, false),
            ("notifications/resources/updated", r#"{"uri":"db:x/1"}"#, true),
            ("notifications/resources/updated", r#"{"uri":7}"#, false),
            ("notifications/message", "{}", false),
        ] {
            let frame = notice(&format!(r#"{{"jsonrpc":"2.0","method":"{method}","params":{params}}}"#));
            assert_eq!(wanted.wants(&frame), is_wanted, "{method} {params}");
        }
    }

    #[test]
    fn a_copy_carries_the_id_and_all_else_as_it_was() {
        let updated = notice(
            r#"{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"file:\/\/\/a","x":1.0,"_meta":{"y":1e2}}}"#,
        );
        assert_eq!(
            text(&copy(&updated, "7")),
            r#"{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"file:\/\/\/a","x":1.0,"_meta":{"y":1e2,"io.modelcontextprotocol/subscriptionId":7}}}"#
        );
        let bare = notice(r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#);
        assert_eq!(copy(&bare, "7").subscription(), Some(&crate::message::Id::Number(7)));
    }

    #[test]
    fn after_a_gap_everything_has_changed() {
        let wanted = filter(json!({ "promptsListChanged": true, "resourceSubscriptions": ["file:///a", "file:///b"] }));
        let all = wanted.everything("1");
        let methods: Vec<_> = all.iter().map(Frame::method).collect();
        assert_eq!(methods, ["notifications/prompts/list_changed", method::RESOURCE_UPDATED, method::RESOURCE_UPDATED]);
        assert!(all.iter().all(|frame| wanted.wants(frame) && frame.subscription().is_some()));
    }

    #[test]
    fn a_filter_that_cannot_be_read_or_kept_is_refused() {
        for (params, code) in [
            (json!({}), code::INVALID_PARAMS),
            (json!({ "notifications": [] }), code::INVALID_PARAMS),
            (json!({ "notifications": { "toolsListChanged": 1 } }), code::INVALID_PARAMS),
            (json!({ "notifications": { "resourceSubscriptions": "a" } }), code::INVALID_PARAMS),
            (json!({ "notifications": { "resourceSubscriptions": ["a", 1] } }), code::INVALID_PARAMS),
            (json!({ "notifications": { "resourceSubscriptions": vec!["a"; MAX_URIS.0 + 1] } }), code::LIMIT),
            (json!({ "notifications": { "resourceSubscriptions": ["a".repeat(MAX_URIS.1 + 1)] } }), code::LIMIT),
        ] {
            let refusal = Filter::read(Some(&params.to_string())).unwrap_err();
            assert_eq!(refusal.code, code, "{params}");
        }
        assert_eq!(Filter::read(None).unwrap_err().code, code::INVALID_PARAMS);
        assert!(filter(json!({ "vendor/x": true })).is_empty());
    }
}
