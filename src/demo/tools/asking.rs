//! The tools that ask back: what they ask, and what they make of the answer. Talks to the client through [`Terms::ask`]
//! alone. Never knows the era.

use serde::Deserialize;
use serde_json::{Value, json};

use super::super::server::Server;
use super::super::terms::{Declared, Stop, Terms};
use super::{failed, text};

fn str_at<'v>(value: &'v Value, pointer: &str) -> Option<&'v str> {
    value.pointer(pointer).and_then(Value::as_str)
}

#[derive(Deserialize)]
pub(super) struct AskArgs {
    message: String,
}

pub(super) async fn ask(server: &Server, terms: &Terms, args: AskArgs, may: Declared) -> Result<Value, Stop> {
    let answer = json!({"type": "string", "title": "Answer"});
    let schema = json!({"type": "object", "properties": {"answer": answer}, "required": ["answer"]});
    let question = json!({"message": args.message, "requestedSchema": schema});
    let given = terms.ask(server, "elicitation/create", question, may).await?;
    Ok(match (str_at(&given, "/action"), str_at(&given, "/content/answer")) {
        (Some("accept"), Some(answer)) => text(format!("The user answered: {answer}")),
        (Some("accept"), None) => failed("the user accepted, but gave no answer"),
        (action, _) => text(format!("The user did not answer: {}", action.unwrap_or("no action"))),
    })
}

#[derive(Deserialize)]
pub(super) struct SampleArgs {
    prompt: String,
}

pub(super) async fn sample(server: &Server, terms: &Terms, args: SampleArgs, may: Declared) -> Result<Value, Stop> {
    let message = json!({"role": "user", "content": {"type": "text", "text": args.prompt}});
    let request = json!({"messages": [message], "maxTokens": 100});
    let made = terms.ask(server, "sampling/createMessage", request, may).await?;
    // One block; since 2025-11-25 also a list of them.
    Ok(match str_at(&made, "/content/text").or_else(|| str_at(&made, "/content/0/text")) {
        Some(said) => text(format!("The model said: {said}")),
        None => failed("the model's answer holds no text"),
    })
}

pub(super) async fn roots(server: &Server, terms: &Terms, may: Declared) -> Result<Value, Stop> {
    let answer = terms.ask(server, "roots/list", json!({}), may).await?;
    let roots = answer.get("roots").and_then(Value::as_array).into_iter().flatten();
    let uris: Vec<_> = roots.filter_map(|root| str_at(root, "/uri")).collect();
    Ok(text(uris.join("\n")))
}

pub(super) async fn ping(server: &Server, terms: &Terms, may: Declared) -> Result<Value, Stop> {
    terms.ask(server, "ping", json!({}), may).await?;
    Ok(text("The client answered."))
}
