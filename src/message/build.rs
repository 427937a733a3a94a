//! Messages of the bridge's own: requests, notifications and answers, written from their parts.
//!
//! Owns the text of a new message. Pure. It never reads what it is given but for the mark that every frame has; parts are
//! JSON text, or an object that is written into its place at once.

use std::{ops::Range, sync::Arc};

use super::{
    Frame, FrameError, Head, Id, Kind, Method, OwnMeta, code,
    mark::{self, Mark},
};
use crate::json::{self, Object};

/// `params`, `result` or `error` of a message that is built; or another value in it.
#[derive(Debug, Clone, Copy)]
enum Body<'a> {
    Text(&'a str),
    Object(&'a Object<'a>),
}

impl Body<'_> {
    fn len(self) -> usize {
        match self {
            Body::Text(text) => text.len(),
            Body::Object(object) => object.text_len(),
        }
    }

    fn write(self, to: &mut String) {
        match self {
            Body::Text(text) => to.push_str(text),
            Body::Object(object) => object.write(to),
        }
    }

    /// The mark of a message whose body was written from this. An object's members are known, and those that hold one are
    /// small.
    fn mark(self, text: &str, kind: &Kind, method: &str, at: Range<usize>) -> Option<Mark> {
        let may_have = match self {
            Body::Text(_) => true,
            Body::Object(object) => object.iter().any(|(key, value)| mark::may_be_in(key, value)),
        };
        mark::find(text, kind, method, text.get(at).filter(|_| may_have)?).ok().flatten()
    }
}

impl Frame {
    /// A successful answer. `id` and `result` are JSON text.
    pub fn result(id: &str, result: &str) -> Frame {
        Frame::build(Kind::Response(Id::parse(id)), "", Some(id), Some(("result", Body::Text(result))))
    }

    /// The same of an object, whose text is written once.
    pub fn result_of(id: &str, result: &Object<'_>) -> Frame {
        Frame::build(Kind::Response(Id::parse(id)), "", Some(id), Some(("result", Body::Object(result))))
    }

    /// An error answer. `id` is JSON text, `null` included; `data` is left out when `None`.
    pub fn error(id: &str, code: i32, message: &str, data: Option<serde_json::Value>) -> Frame {
        let mut error = serde_json::json!({ "code": code, "message": message });
        if let (Some(data), Some(object)) = (data, error.as_object_mut()) {
            object.insert("data".into(), data);
        }
        Frame::build(Kind::Response(Id::parse(id)), "", Some(id), Some(("error", Body::Text(&error.to_string()))))
    }

    /// An error in the place of a server's answer that cannot be passed on.
    pub fn unusable(id: &Id, why: &FrameError) -> Frame {
        let text = format!("the server's answer cannot be passed on: {why}");
        Frame::error(&id.to_json(), code::INTERNAL, &text, None)
    }

    /// A request of the bridge itself. `params` is JSON text.
    pub fn request(id: &Id, method: &str, params: Option<&str>) -> Frame {
        let params = params.map(|params| ("params", Body::Text(params)));
        Frame::build(Kind::Request(id.clone()), method, Some(&id.to_json()), params)
    }

    /// The same with an object, whose text is written once; an empty one is left out.
    pub fn request_of(id: &Id, method: &str, params: &Object<'_>) -> Frame {
        let params = Some(params).filter(|params| !params.is_empty()).map(|params| ("params", Body::Object(params)));
        Frame::build(Kind::Request(id.clone()), method, Some(&id.to_json()), params)
    }

    /// A notification of the bridge itself. `params` is JSON text.
    pub fn notification(method: &str, params: Option<&str>) -> Frame {
        Frame::build(Kind::Notification, method, None, params.map(|params| ("params", Body::Text(params))))
    }

    /// The same message with another object for its `params` or `result`, whose text is written once. What it holds, it
    /// goes on to hold. An error stays as it is.
    pub fn with_body(&self, body: &Object<'_>) -> Frame {
        let id = Some(self.id_text()).filter(|_| !matches!(self.kind(), Kind::Notification));
        let key = match self.kind() {
            Kind::Response(_) if self.is_error() => return self.clone(),
            Kind::Response(_) => "result",
            Kind::Request(_) | Kind::Notification => "params",
        };
        Frame::build(self.kind().clone(), self.method(), id, Some((key, Body::Object(body)))).in_place_of(self)
    }

    fn build(kind: Kind, method: &str, id: Option<&str>, body: Option<(&str, Body<'_>)>) -> Frame {
        let lengths = [method.len(), id.map_or(0, str::len), body.map_or(0, |(_, value)| value.len())];
        // With what stands around them.
        let mut text = String::with_capacity(lengths.iter().sum::<usize>() + 64);
        text.push_str("{\"jsonrpc\":\"2.0\"");
        let mut append = |key: &str, value: Body<'_>| {
            text.extend([",\"", key, "\":"]);
            let start = text.len();
            value.write(&mut text);
            start..text.len()
        };
        let id_at = id.map_or(0..0, |id| append("id", Body::Text(id)));
        let method = match kind {
            Kind::Response(_) => Method::At(0..0),
            // Even an empty one: a request without a method is no message.
            Kind::Request(_) | Kind::Notification => {
                let quoted = json::quote(method);
                let at = append("method", Body::Text(&quoted));
                match quoted.len() == method.len() + 2 {
                    true => Method::At(at.start + 1..at.end - 1),
                    false => Method::Escaped(method.into()),
                }
            }
        };
        let body_at = body.map_or(0..0, |(key, value)| append(key, value));
        text.push('}');
        let mark = body.and_then(|(_, value)| value.mark(&text, &kind, method.name(&text), body_at.clone()));
        let is_error = body.is_some_and(|(key, _)| key == "error");
        let head = Head {
            text: text.into(),
            hold: None,
            kind,
            method,
            id_at,
            body_at,
            is_error,
            members: None,
            mark,
            own_meta: OwnMeta::new(),
        };
        Frame { head: Arc::new(head) }
    }
}
