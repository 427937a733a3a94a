//! From bytes to a message.
//!
//! Owns what counts as one, and as a batch of them. Pure. Almost all are read in one pass, [`check`]; what is wrong or only
//! unusual is left to `serde_json`, which says what is wrong. It never takes a message that two readers could read in two
//! ways.

use std::{borrow::Cow, fmt, ops::Range, sync::Arc};

use bytes::Bytes;
use bytestring::ByteString;
use serde::{
    Deserialize, Deserializer,
    de::{SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{Frame, FrameError, Head, Id, Kind, MAX_DEPTH, MAX_ID, Member, Method, OwnMeta, mark, position};
use crate::json::{self, Text, check};

/// Members of a body whose places are remembered. Bodies have a handful; of one that has more, they are found again.
const MAX_MEMBERS: usize = 16;

/// Messages of one batch. Each takes some hundred bytes of memory, also where it has two of its own.
const MAX_BATCH: usize = 1024;

impl Frame {
    /// Reads one message. The bytes are kept as they are, but for white space around them.
    pub fn parse(raw: Bytes) -> Result<Frame, FrameError> {
        let text = utf8(trimmed(raw))?;
        match text.as_bytes().first() {
            Some(b'{') => Frame::read(text),
            _ if too_deep(text.as_bytes()) => Err(FrameError::TooDeep),
            Some(b'[') => Err(FrameError::Batch),
            _ => Err(not_an_object(&text)),
        }
    }

    /// Reads one message or, where the revision has them (2025-03-26, Base Protocol, Batching), an array of messages.
    pub fn parse_batch(raw: Bytes) -> Result<Vec<Frame>, FrameError> {
        let raw = trimmed(raw);
        if raw.first() != Some(&b'[') {
            return Frame::parse(raw).map(|frame| vec![frame]);
        }
        let text = utf8(raw)?;
        if too_deep(text.as_bytes()) {
            return Err(FrameError::TooDeep);
        }
        let Items { first, more } =
            serde_json::from_str(&text).map_err(|error| FrameError::NotJson(error.to_string()))?;
        if first.is_empty() {
            return Err(FrameError::NotRpc("the batch is empty".into()));
        }
        if more {
            let text = format!("a batch has at most {MAX_BATCH} messages here; send the rest in another");
            return Err(FrameError::NotRpc(text));
        }
        first.into_iter().map(|item| Frame::parse(text.slice_ref(item.get()).into_bytes())).collect()
    }

    fn read(text: ByteString) -> Result<Frame, FrameError> {
        let fields = match Fields::plain(&text) {
            Some(fields) => fields,
            None if too_deep(text.as_bytes()) => return Err(FrameError::TooDeep),
            None => serde_json::from_str::<Wire>(&text).map_err(not_read)?.into(),
        };
        if fields.jsonrpc.as_deref() != Some("2.0") {
            return Err(FrameError::NotRpc("\"jsonrpc\" must be \"2.0\"".into()));
        }
        let id = fields.id.map(Id::parse);
        let body = match (&fields.method, fields.result, fields.error) {
            (Some(_), None, None) => fields.params,
            (None, Some(body), None) | (None, None, Some(body)) => Some(body),
            _ => return Err(FrameError::NotRpc("it must have one of \"method\", \"result\" and \"error\"".into())),
        };
        let kind = match (&fields.method, id) {
            (Some(_), None) => Kind::Notification,
            (Some(_), Some(Some(id))) => Kind::Request(id),
            (None, Some(Some(id))) => Kind::Response(Some(id)),
            (None, Some(None)) if fields.id == Some("null") => Kind::Response(None),
            (None, None) if fields.error.is_some() => Kind::Response(None),
            _ => {
                return Err(FrameError::NotRpc(format!(
                    "\"id\" must be a string or a number of at most {MAX_ID} bytes"
                )));
            }
        };
        let method = match fields.method {
            None => Method::At(0..0),
            Some(Cow::Borrowed(plain)) => Method::At(position(&text, plain)),
            Some(Cow::Owned(escaped)) => Method::Escaped(escaped.into()),
        };
        let members = fields.members.filter(|(of, _)| body.is_some_and(|body| std::ptr::eq(*of, body)));
        let members = members.map(|(_, members)| members);
        let part = |at: &Range<usize>| text.get(at.clone()).unwrap_or_default();
        let may_be_in = |member: &Member| mark::may_be_in(part(&member.key), part(&member.value));
        let may_be_marked = members.as_ref().is_none_or(|members| members.iter().any(may_be_in));
        let mark = match body.filter(|_| may_be_marked) {
            Some(body) => mark::find(&text, &kind, method.name(&text), body)?,
            None => None,
        };
        let head = Head {
            id_at: fields.id.map_or(0..0, |id| position(&text, id)),
            body_at: body.map_or(0..0, |body| position(&text, body)),
            is_error: fields.error.is_some(),
            members,
            kind,
            method,
            mark,
            own_meta: OwnMeta::new(),
            hold: None,
            text,
        };
        Ok(Frame { head: Arc::new(head) })
    }
}

/// The top level of a message: JSON text, but for what is known to be text.
#[derive(Default)]
struct Fields<'a> {
    jsonrpc: Option<Cow<'a, str>>,
    method: Option<Cow<'a, str>>,
    id: Option<&'a str>,
    params: Option<&'a str>,
    result: Option<&'a str>,
    error: Option<&'a str>,
    /// Of params or result, whichever it was.
    members: Option<(&'a str, Box<[Member]>)>,
}

impl<'a> Fields<'a> {
    /// Reads a message as almost all are; `None` where it is none, or an unusual one, which [`Wire`] decides.
    fn plain(text: &'a str) -> Option<Fields<'a>> {
        let mut fields = Fields::default();
        check::object(text, MAX_DEPTH as u32, |key, at| {
            let is_body = matches!(key, "params" | "result");
            let value = if is_body && at.is_object() { fields.body(text, at)? } else { at.value()? };
            let twice = match key {
                "jsonrpc" => fields.jsonrpc.replace(json::plain(value)?.into()).is_some(),
                "method" => fields.method.replace(json::plain(value)?.into()).is_some(),
                "id" => fields.id.replace(value).is_some(),
                "params" => fields.params.replace(value).is_some(),
                "result" => fields.result.replace(value).is_some(),
                "error" => fields.error.replace(value).is_some(),
                _ => false,
            };
            (!twice).then_some(())
        })?;
        // It has a version, or the judge says what is missing.
        fields.jsonrpc.is_some().then_some(fields)
    }

    /// Moves past the body, and notes where its members stand: several may ask for them, and to find them again takes another
    /// look at all of it.
    fn body(&mut self, text: &str, at: &mut check::Position<'a>) -> Option<&'a str> {
        let mut members = Some(Vec::new());
        let body = at.object(|key, at| {
            let value = at.value()?;
            match &mut members {
                Some(noted) if noted.len() < MAX_MEMBERS => {
                    noted.push(Member { key: position(text, key), value: position(text, value) });
                }
                // It takes memory that nobody counts.
                more => *more = None,
            }
            Some(())
        })?;
        self.members = members.map(|members| (body, members.into()));
        Some(body)
    }
}

/// The same for a message with anything unusual in it. Derived readers refuse duplicate keys and are case sensitive, so that
/// what is inspected here is what any other reader sees.
#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(borrow)]
    jsonrpc: Cow<'a, str>,
    #[serde(default, borrow, deserialize_with = "present")]
    id: Option<&'a RawValue>,
    #[serde(default, borrow, deserialize_with = "present")]
    method: Option<Text<'a>>,
    #[serde(default, borrow, deserialize_with = "present")]
    params: Option<&'a RawValue>,
    #[serde(default, borrow, deserialize_with = "present")]
    result: Option<&'a RawValue>,
    #[serde(default, borrow, deserialize_with = "present")]
    error: Option<&'a RawValue>,
}

impl<'a> From<Wire<'a>> for Fields<'a> {
    fn from(wire: Wire<'a>) -> Fields<'a> {
        Fields {
            jsonrpc: Some(wire.jsonrpc),
            method: wire.method.map(|Text(method)| method),
            id: wire.id.map(RawValue::get),
            params: wire.params.map(RawValue::get),
            result: wire.result.map(RawValue::get),
            error: wire.error.map(RawValue::get),
            members: None,
        }
    }
}

/// The elements of an array, up to [`MAX_BATCH`], and whether there are more.
struct Items<'a> {
    first: Vec<&'a RawValue>,
    more: bool,
}

impl<'de> Deserialize<'de> for Items<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Items<'de>, D::Error> {
        struct Elements;
        impl<'de> Visitor<'de> for Elements {
            type Value = Items<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Items<'de>, A::Error> {
                let mut items = Items { first: Vec::new(), more: false };
                // Ends with the array.
                while let Some(item) = array.next_element()? {
                    match items.first.len() {
                        MAX_BATCH => items.more = true,
                        _ => items.first.push(item),
                    }
                }
                Ok(items)
            }
        }
        deserializer.deserialize_seq(Elements)
    }
}

/// Keeps `null` apart from an absent field.
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

fn trimmed(raw: Bytes) -> Bytes {
    raw.slice_ref(raw.trim_ascii())
}

fn utf8(raw: Bytes) -> Result<ByteString, FrameError> {
    ByteString::try_from(raw).map_err(|error| FrameError::NotUtf8(error.valid_up_to()))
}

pub(super) fn not_read(error: serde_json::Error) -> FrameError {
    match error.classify() {
        serde_json::error::Category::Data => FrameError::NotRpc(error.to_string()),
        _ => FrameError::NotJson(error.to_string()),
    }
}

fn not_an_object(text: &str) -> FrameError {
    match serde_json::from_str::<&RawValue>(text) {
        Ok(_) => FrameError::NotRpc("it must be an object".into()),
        Err(error) => FrameError::NotJson(error.to_string()),
    }
}

/// Whether arrays and objects are nested deeper than [`MAX_DEPTH`]. Strings are skipped as a whole.
fn too_deep(json: &[u8]) -> bool {
    // Each level takes an opening byte. To count them, those in strings included, takes a tenth of what it takes to
    // tell strings apart; most messages have few.
    let openings = |part: &[u8]| usize::from(part.iter().map(|byte| u8::from(byte | 0x20 == b'{')).sum::<u8>());
    if json.chunks(MAX_DEPTH).map(openings).sum::<usize>() <= MAX_DEPTH {
        return false;
    }
    let mut depth = 0_usize;
    let mut rest = json.iter();
    while let Some(byte) = rest.next() {
        match byte {
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            b'"' => skip_string(&mut rest),
            _ => {}
        }
        if depth > MAX_DEPTH {
            return true;
        }
    }
    false
}

/// Moves past the end of a string that has just been entered.
fn skip_string(rest: &mut std::slice::Iter<'_, u8>) {
    while let Some(at) = memchr::memchr2(b'"', b'\\', rest.as_slice()) {
        match rest.nth(at) {
            Some(b'\\') => drop(rest.next()),
            _ => return,
        }
    }
    *rest = [].iter();
}
