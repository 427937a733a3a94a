//! The door of a listening socket: who is let in, and what those are told who are not.
//!
//! Owns what a path's resource is called, its metadata (RFC 9728) and the way from a checked credential to a request that
//! may go on. Talks to the locks in [`crate::auth::resource`]. It never reads a body: what a call may do beyond coming in
//! is checked by the wire that reads it.

use std::sync::Arc;

use futures::future::BoxFuture;
use http::{HeaderValue, Method, Request, StatusCode, header};

use super::stream::{Arrival, Certificate};
use crate::{
    audit::Reason,
    auth::resource::{Access, Checked, Denied, Gate, TokenClaims, metadata},
    config::{Door as Who, NetworkSpec},
    peer::Principal,
    wire::exchange::{self, Refusal, Response, ToolGate},
};

/// The door of one listening socket.
#[derive(Debug)]
pub struct Door {
    gate: Option<Arc<Gate>>,
    /// The public URL up to the paths, where one is configured.
    base: Option<String>,
    scheme: &'static str,
    /// What a proxy may leave in front of each path.
    prefix: String,
}

/// What is known at once of a request's caller.
pub enum Admission {
    /// It may go on, or not.
    Now(Result<Admitted, Refusal>),
    /// The authorization server has to be asked.
    Later(BoxFuture<'static, Result<Admitted, Refusal>>),
}

/// A caller that is let in.
#[derive(Debug, Clone, Default)]
pub struct Admitted {
    /// `None` where the door is open.
    pub principal: Option<Principal>,
    /// Where some tools take more scopes than coming in does.
    pub tools: Option<ToolGate>,
    /// What else its token says.
    pub claims: TokenClaims,
}

impl Door {
    /// The door that a configuration asks for.
    pub fn new(network: &NetworkSpec) -> Door {
        let gate = match &network.door {
            Who::Open => None,
            Who::Locked(gate) => Some(gate.clone()),
        };
        let base = network.base_url.as_ref().map(|url| url.as_str().trim_end_matches('/').to_owned());
        let prefix = super::route::prefix(network);
        Door { gate, base, scheme: if network.tls.is_some() { "https" } else { "http" }, prefix }
    }

    /// Whether anyone may call, and so may be told what is wrong.
    pub fn is_open(&self) -> bool {
        self.gate.is_none()
    }

    /// What is known at once about who calls. `path` is that of the resource, below the prefix.
    pub fn admit<B>(&self, request: &Request<B>, arrival: &Arrival, path: &str) -> Admission {
        let certificate = arrival.certificate.clone();
        let Some(gate) = &self.gate else {
            return Admission::Now(certified(Admitted::default(), &certificate));
        };
        if gate.issuer().is_none() {
            // Tokens that were given out by hand are for the whole bridge.
            return decided(gate, certificate, gate.check(request.headers(), &[]), None);
        }
        let base = self.base(request);
        let resource = format!("{base}{path}");
        let metadata = self.metadata_url(&base, path);
        decided(gate, certificate, gate.check(request.headers(), &[&resource, &base]), Some(metadata))
    }

    /// The path that a request for metadata is about; `None` for any other request, and where there is no authorization
    /// server to tell about.
    pub fn asked_about<'a>(&self, path: &'a str) -> Option<&'a str> {
        self.gate.as_ref()?.issuer()?;
        let rest = path.strip_prefix(metadata::WELL_KNOWN)?;
        (rest.is_empty() || rest.starts_with('/')).then_some(rest)
    }

    /// The metadata of the resource at `path`, below the prefix; of the whole bridge where that is empty.
    pub fn describe<B>(&self, request: &Request<B>, path: &str) -> Result<Response, Refusal> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let refusal = Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "this path takes GET");
            return Err(refusal.header(header::ALLOW, HeaderValue::from_static("GET, HEAD")));
        }
        let missing = || Refusal::new(StatusCode::NOT_FOUND, "there is no authorization server to tell about");
        let gate = self.gate.as_ref().ok_or_else(missing)?;
        let issuer = gate.issuer().ok_or_else(missing)?;
        let resource = format!("{}{path}", self.base(request));
        let scopes = gate.all_scopes();
        let document = metadata::Resource::new(&resource, issuer, &scopes);
        // Texts and lists of texts: nothing in it can fail.
        let mut response = exchange::text(StatusCode::OK, serde_json::to_vec(&document).unwrap_or_default());
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Ok(response)
    }

    /// The public URL that paths are put behind. Where none is configured, the one that the client used: the guard let its
    /// host pass, and beyond loopback the configuration has to name one.
    fn base<B>(&self, request: &Request<B>) -> String {
        if let Some(base) = &self.base {
            return base.clone();
        }
        let stated = || request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
        let host = request.uri().authority().map(|authority| authority.as_str()).or_else(stated);
        format!("{}://{}", self.scheme, host.unwrap_or("localhost").to_ascii_lowercase())
    }

    /// RFC 9728, section 3.1: the well-known part comes before the path.
    fn metadata_url(&self, base: &str, path: &str) -> String {
        let origin = base.strip_suffix(&self.prefix).unwrap_or(base);
        format!("{origin}{}{}{path}", metadata::WELL_KNOWN, self.prefix)
    }
}

fn decided(gate: &Arc<Gate>, certificate: Certificate, checked: Checked, metadata: Option<String>) -> Admission {
    match checked {
        Checked::Now(checked) => {
            Admission::Now(decide(gate, checked, metadata).and_then(|admitted| certified(admitted, &certificate)))
        }
        Checked::Later(checked) => {
            let gate = gate.clone();
            Admission::Later(Box::pin(async move {
                decide(&gate, checked.await, metadata).and_then(|admitted| certified(admitted, &certificate))
            }))
        }
    }
}

/// Who calls: by certificate, by token, or by both where both are asked for.
fn certified(admitted: Admitted, certificate: &Certificate) -> Result<Admitted, Refusal> {
    let principal = match (certificate, admitted.principal.clone()) {
        (Certificate::Unasked, token) => token,
        (Certificate::Of(certificate), None) => Some(certificate.clone()),
        // Neither stands for the other: a session is that of this token in these hands.
        (Certificate::Of(Principal(certificate)), Some(Principal(token))) => {
            Some(Principal(format!("{token} {certificate}").into()))
        }
        (Certificate::Nameless, _) => {
            return Err(Refusal::new(
                StatusCode::FORBIDDEN,
                "the client's certificate names nobody; have one made with a DNS name, an e-mail address or a URI in \
                 its subjectAltName",
            )
            .because(Reason::Certificate));
        }
    };
    Ok(Admitted { principal, ..admitted })
}

fn decide(gate: &Arc<Gate>, checked: Result<Access, Denied>, metadata: Option<String>) -> Result<Admitted, Refusal> {
    let Access { principal, scopes, claims } =
        checked.map_err(|denied| denied.into_refusal(metadata.as_deref(), gate.scopes()))?;
    let tools = metadata.filter(|_| gate.has_tool_scopes());
    let tools = tools.map(|metadata| ToolGate::new(gate.clone(), scopes, metadata));
    Ok(Admitted { principal: Some(principal), tools, claims })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;

    #[test]
    fn a_certificate_is_its_own_principal_and_one_with_a_token_another() {
        let gate = Arc::new(Gate::of_tokens([Secret::new("one")]));
        let open = Door { gate: None, base: None, scheme: "http", prefix: String::new() };
        let locked = Door { gate: Some(gate), base: None, scheme: "http", prefix: String::new() };
        let admit = |door: &Door, certificate: Certificate, token: Option<&str>| {
            let arrival = Arrival { bound: None, peer: None, certificate };
            let request = http::Request::builder().uri("/mcp");
            let request = token.into_iter().fold(request, |request, token| request.header("authorization", token));
            match door.admit(&request.body(()).unwrap(), &arrival, "/mcp") {
                Admission::Now(Ok(admitted)) => Ok(admitted.principal.map(|Principal(name)| name.to_string())),
                Admission::Now(Err(refusal)) => Err(refusal.status().as_u16()),
                Admission::Later(_) => panic!("nobody else knows"),
            }
        };
        let (named, token) = (|| Certificate::Of(Principal("dns:a.example".into())), Some("Bearer one"));
        assert_eq!(admit(&open, named(), None), Ok(Some("dns:a.example".into())));
        assert_eq!(admit(&open, Certificate::Nameless, None), Err(403));
        assert_eq!(admit(&open, Certificate::Unasked, None), Ok(None));
        assert_eq!(admit(&locked, named(), token), Ok(Some("token-1 dns:a.example".into())));
        assert_eq!(admit(&locked, named(), None), Err(401));
        assert_eq!(admit(&locked, Certificate::Nameless, token), Err(403));
    }
}
