//! Resources, prompts, completion and paging. Owns what they say; talks to [`Server`] for what changes. Never sends.

use std::borrow::Cow;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::server::Server;
use super::terms::{Answer, Reply, Terms, params};
use super::wire::{Params, RpcError};

/// The resource that `touch` changes.
pub(super) const COUNTER: &str = "demo://counter";
/// The resource that tells what was negotiated; changes with the roots of a legacy client.
pub(super) const INFO: &str = "demo://info";
const ITEM: &str = "demo://item/";
/// Items listed. Others can be read too: the template covers every number.
const ITEMS: u64 = 25;
/// Entries in one page of `resources/list`: few, so that paging is seen.
const PAGE: usize = 10;
const CURSOR: &str = "after-";
const NAMES: [&str; 8] = ["Ada", "Alan", "Barbara", "Edsger", "Grace", "Katherine", "Ken", "Margaret"];

#[derive(Deserialize)]
struct Page<'m> {
    #[serde(borrow)]
    cursor: Option<Cow<'m, str>>,
}

/// One page of `all`. A cursor means something to us alone; one that we did not give is refused
/// (server/utilities/pagination, "Error Handling").
pub(super) fn page(key: &str, all: Vec<Value>, size: usize, raw: Params<'_>) -> Result<Value, RpcError> {
    let from = match params::<Page>(raw)?.cursor {
        None => 0,
        Some(cursor) => cursor
            .strip_prefix(CURSOR)
            .and_then(|from| from.parse().ok())
            .filter(|from| *from > 0 && *from < all.len() && from % size == 0)
            .ok_or_else(|| {
                RpcError::params(format!("no page has the cursor {cursor:?}; use a nextCursor as it came"))
            })?,
    };
    let next = Some(from.saturating_add(size)).filter(|next| *next < all.len());
    let entries = all.into_iter().skip(from).take(size).collect();
    let mut result = Map::from_iter([(key.to_owned(), Value::Array(entries))]);
    next.map(|next| result.insert("nextCursor".to_owned(), format!("{CURSOR}{next}").into()));
    Ok(result.into())
}

pub(super) fn list_resources<'a, 'm>(_: &'a Server, _: &Arc<Terms>, raw: Params<'m>) -> Answer<'a, 'm> {
    let mut all = vec![
        json!({"uri": COUNTER, "name": "counter", "description": "Counts the calls of touch", "mimeType": "text/plain"}),
        json!({"uri": INFO, "name": "info", "description": "What was negotiated", "mimeType": "application/json"}),
    ];
    all.extend(
        (1..=ITEMS)
            .map(|n| json!({"uri": format!("{ITEM}{n}"), "name": format!("item {n}"), "mimeType": "text/plain"})),
    );
    page("resources", all, PAGE, raw).map(Reply::Now)
}

pub(super) fn list_templates<'a, 'm>(_: &'a Server, _: &Arc<Terms>, raw: Params<'m>) -> Answer<'a, 'm> {
    let item = json!({"uriTemplate": format!("{ITEM}{{n}}"), "name": "item", "description": "One item, by number", "mimeType": "text/plain"});
    page("resourceTemplates", vec![item], PAGE, raw).map(Reply::Now)
}

#[derive(Deserialize)]
struct Uri<'m> {
    #[serde(borrow)]
    uri: Cow<'m, str>,
}

pub(super) fn read_resource<'a, 'm>(server: &'a Server, terms: &Arc<Terms>, raw: Params<'m>) -> Answer<'a, 'm> {
    let Uri { uri } = params(raw)?;
    let (mime, text) = look_up(server, terms, &uri)?;
    Ok(Reply::Now(json!({"contents": [{"uri": uri, "mimeType": mime, "text": text}]})))
}

/// What a resource says, and of which type that is.
pub(super) fn look_up(server: &Server, terms: &Terms, uri: &str) -> Result<(&'static str, String), RpcError> {
    let item = || uri.strip_prefix(ITEM).and_then(|n| n.parse::<u64>().ok());
    match uri {
        COUNTER => Ok(("text/plain", server.counter().to_string())),
        INFO => {
            // A modern client tells its roots only when a tool asks for them, and to that alone.
            let roots = if terms.is_modern() { Value::Null } else { server.session.roots() };
            let client: Value = serde_json::from_str(&terms.client).unwrap_or_default();
            let info = json!({"protocolVersion": terms.version, "client": client, "roots": roots});
            Ok(("application/json", info.to_string()))
        }
        _ => match item() {
            Some(n) => Ok(("text/plain", format!("This is item {n}."))),
            // server/resources, "Error Handling", of both eras.
            None => {
                let code = if terms.is_modern() { -32602 } else { -32002 };
                Err(RpcError { data: Some(json!({"uri": uri})), ..RpcError::new(code, "there is no such resource") })
            }
        },
    }
}

pub(super) fn list_prompts<'a, 'm>(_: &'a Server, _: &Arc<Terms>, raw: Params<'m>) -> Answer<'a, 'm> {
    let name = json!({"name": "name", "description": "Who is greeted", "required": true});
    let greet = json!({"name": "greet", "description": "Asks the model to greet somebody", "arguments": [name]});
    page("prompts", vec![greet], PAGE, raw).map(Reply::Now)
}

pub(super) fn get_prompt<'a, 'm>(_: &'a Server, _: &Arc<Terms>, raw: Params<'m>) -> Answer<'a, 'm> {
    #[derive(Deserialize)]
    struct Get {
        name: String,
        #[serde(default)]
        arguments: Value,
    }
    let get: Get = params(raw)?;
    if get.name != "greet" {
        return Err(RpcError::params(format!("there is no prompt {:?}; see prompts/list", get.name)));
    }
    let Some(name) = get.arguments.get("name").and_then(Value::as_str) else {
        return Err(RpcError::params("the prompt greet needs the argument name, a string"));
    };
    let text = format!("Please greet {name} in one friendly sentence.");
    Ok(Reply::Now(json!({
        "description": "A greeting",
        "messages": [{"role": "user", "content": {"type": "text", "text": text}}],
    })))
}

pub(super) fn complete<'a, 'm>(_: &'a Server, _: &Arc<Terms>, raw: Params<'m>) -> Answer<'a, 'm> {
    #[derive(Deserialize)]
    #[serde(tag = "type")]
    enum Of {
        #[serde(rename = "ref/prompt")]
        Prompt { name: String },
        #[serde(rename = "ref/resource")]
        Resource { uri: String },
    }
    #[derive(Deserialize)]
    struct Argument {
        name: String,
        value: String,
    }
    #[derive(Deserialize)]
    struct Complete {
        r#ref: Of,
        argument: Argument,
    }
    let Complete { r#ref: of, argument } = params(raw)?;
    let all: Vec<String> = match (&of, argument.name.as_str()) {
        (Of::Prompt { name }, "name") if name == "greet" => NAMES.map(String::from).to_vec(),
        (Of::Resource { uri }, "n") if uri.strip_prefix(ITEM) == Some("{n}") => {
            (1..=ITEMS).map(|n| n.to_string()).collect()
        }
        _ => {
            return Err(RpcError::params(
                "nothing here has that argument; see prompts/list and resources/templates/list",
            ));
        }
    };
    let typed = argument.value.to_lowercase();
    let values: Vec<_> = all.into_iter().filter(|value| value.to_lowercase().starts_with(&typed)).collect();
    Ok(Reply::Now(json!({"completion": {"total": values.len(), "hasMore": false, "values": values}})))
}
