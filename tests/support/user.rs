//! A client of either era with one set of calls: what it asks comes to its end, whatever it is asked meanwhile. Talks
//! through a [`Client`]; knows what an era wants in a message, and checks that an answer is of its own era.

use serde_json::{Value, json};

use super::client::{Client, MODERN, Message, On};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Era {
    Legacy,
    Modern,
}

/// The revision of a legacy user.
pub const LEGACY: &str = "2025-06-18";

pub struct User {
    pub era: Era,
    pub client: Client,
    /// What a modern user declares with each request.
    pub capabilities: Value,
    /// The log level that a modern user names with each request.
    pub level: Option<&'static str>,
    /// The methods that it was asked with.
    pub asked: Vec<String>,
}

/// What a demo server asks for.
fn everything() -> Value {
    json!({"sampling": {}, "elicitation": {}, "roots": {}})
}

impl User {
    /// Of the legacy era, initialized.
    pub async fn legacy(mut client: Client) -> User {
        client.initialize(LEGACY).await;
        User::in_session(client)
    }

    /// Of the legacy era; `client` is initialized.
    pub fn in_session(client: Client) -> User {
        User { era: Era::Legacy, client, capabilities: everything(), level: None, asked: Vec::new() }
    }

    /// Of the modern era; `client` has said nothing yet.
    pub fn modern(client: Client) -> User {
        User { era: Era::Modern, client, capabilities: everything(), level: None, asked: Vec::new() }
    }

    /// A request as text.
    pub fn text(&self, id: &str, method: &str, mut params: Value) -> String {
        if self.era == Era::Modern {
            let meta = &mut params["_meta"];
            meta["io.modelcontextprotocol/protocolVersion"] = json!(MODERN);
            meta["io.modelcontextprotocol/clientInfo"] = json!({"name": "test", "version": "1"});
            meta["io.modelcontextprotocol/clientCapabilities"] = self.capabilities.clone();
            if let Some(level) = self.level {
                meta["io.modelcontextprotocol/logLevel"] = json!(level);
            }
        }
        format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{params}}}"#)
    }

    /// Sends a request; gives its id.
    pub async fn send(&mut self, method: &str, params: Value) -> String {
        let id = self.client.fresh_id();
        let text = self.text(&id, method, params);
        self.client.send(&text).await;
        id
    }

    /// Sends a request and gives the very next answer to it, a question among them.
    pub async fn once(&mut self, method: &str, params: Value) -> Message {
        let id = self.send(method, params).await;
        self.client.answer(&id).await
    }

    /// Sends a request, and answers what the server asks until the answer has come.
    pub async fn ask(&mut self, method: &str, mut params: Value) -> Message {
        let mut id = self.send(method, params.clone()).await;
        loop {
            let wanted: Value = serde_json::from_str(&id).unwrap();
            let fits = |message: &Message| {
                (message.is_answer() && message.json["id"] == wanted)
                    || (!message.is_answer() && message.json.get("id").is_some())
            };
            let message = self.client.wait_for(&format!("the answer to {method}"), fits).await;
            if !message.is_answer() {
                assert_eq!(self.era, Era::Legacy, "a modern client got a request: {}", message.text);
                let answer = self.answer_to(message.method());
                self.client.reply(&message, answer).await;
                continue;
            }
            let result = &message.json["result"];
            if self.era == Era::Legacy || result["resultType"] != "input_required" {
                self.check(&message);
                return message;
            }
            let requests = result["inputRequests"].as_object().unwrap().clone();
            let answers = requests.iter().map(|(key, request)| {
                let method = request["method"].as_str().unwrap();
                (key.clone(), self.answer_to(method))
            });
            params["inputResponses"] = answers.collect();
            params["requestState"] = result["requestState"].clone();
            id = self.send(method, params.clone()).await;
        }
    }

    fn answer_to(&mut self, method: &str) -> Value {
        self.asked.push(method.to_owned());
        match method {
            "elicitation/create" => json!({"action": "accept", "content": {"answer": "forty-two"}}),
            "sampling/createMessage" => {
                json!({"role": "assistant", "model": "m", "content": {"type": "text", "text": "four"}})
            }
            "roots/list" => json!({"roots": [{"uri": "file:///home", "name": "home"}]}),
            _ => panic!("asked with {method}"),
        }
    }

    /// An answer has what the user's era has, and nothing of the other.
    fn check(&self, answer: &Message) {
        let result = &answer.json["result"];
        if result.is_object() {
            let text: String = answer.text.chars().take(500).collect();
            match self.era {
                Era::Modern => assert_eq!(result["resultType"], "complete", "{text}"),
                Era::Legacy => ["resultType", "ttlMs", "cacheScope"].iter().for_each(|key| {
                    assert!(result.get(key).is_none(), "{key} in {text}");
                }),
            }
        }
    }

    pub async fn call(&mut self, name: &str, arguments: Value) -> Message {
        self.ask("tools/call", json!({"name": name, "arguments": arguments})).await
    }

    /// Takes a call back in the way of its wire and era.
    pub async fn cancel(&mut self, id: &str) {
        if self.era == Era::Modern && self.client.is_http() {
            return self.client.hang_up(id);
        }
        self.client.send(&cancelled(id)).await;
    }

    /// Opens a subscription of the modern era; gives its id when it is acknowledged, and what was granted.
    pub async fn listen(&mut self, wanted: Value) -> (String, Value) {
        let id = self.send("subscriptions/listen", json!({"notifications": wanted})).await;
        let first = self.heard(&id).await;
        assert_eq!(first.method(), "notifications/subscriptions/acknowledged", "{}", first.text);
        (id, first.json["params"]["notifications"].clone())
    }

    /// What comes next for a subscription: a notification with its id, or its answer.
    pub async fn heard(&mut self, id: &str) -> Message {
        let wanted: Value = serde_json::from_str(id).unwrap();
        let http = self.client.is_http();
        let message = self
            .client
            .wait_for("news of a subscription", |message| {
                message.json["id"] == wanted
                    || message.json["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"] == wanted
            })
            .await;
        assert!(!http || message.on == On::Call(id.to_owned()), "{message:?}");
        message
    }
}

/// What takes a request back on a pipe.
fn cancelled(id: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{id}}}}}"#)
}
