//! A protected server and its authorization server, on one socket, with every oddity as a parameter; and the user who
//! logs in there. Each notes what it was asked.
//!
//! The protected server is at `/mcp` and answers a call of any tool with what was called, or is another server of the test's,
//! at all of its paths; the authorization server's issuer is `/as`. `BASE` in what is odd stands for the address. Secrets
//! that must be seen nowhere begin with [`MARK`].

use std::{
    collections::{HashMap, HashSet},
    fs,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex},
};

use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use url::{Url, form_urlencoded};

use super::{
    certs::in_front,
    eventually,
    http::{self, Response},
    script::{Exchange, Script, initialize_result, text},
};

/// What each secret begins with.
pub const MARK: &str = "s3cr3t";

/// What is odd about it. By default nothing is.
#[derive(Debug, Clone)]
pub struct Oddities {
    /// The scope of the challenge.
    pub scope: Option<&'static str>,
    /// The challenge says where the document is. Else it is found at its well-known path.
    pub pointer: bool,
    /// In place of the challenge's URL.
    pub resource_metadata: Option<String>,
    /// What the document names as the resource in place of the server's URL.
    pub resource: Option<String>,
    /// Put over the authorization server's document; `null` takes a member out.
    pub metadata: Value,
    /// Put over the query of the redirect that ends a login.
    pub redirect: Vec<(&'static str, &'static str)>,
    /// Seconds that a token lasts.
    pub lasts: Option<u64>,
    /// Whether tokens can be renewed.
    pub renews: bool,
    /// Whether clients may register themselves.
    pub registers: bool,
    /// Refuses every token, however good.
    pub refuses_all: bool,
    /// A tool that needs a scope of its own: `write`.
    pub write_scope: Option<&'static str>,
    /// Whether a scope that is asked for is granted at all.
    pub grants: bool,
    /// Whether there is any document.
    pub publishes: bool,
    /// Speaks 2026-07-28 only, and refuses `initialize` from whomever it is.
    pub modern: bool,
    /// The issuer that the server's document names; the authorization server's own is in `metadata`.
    pub issuer: String,
    /// Where `/elsewhere` leads.
    pub elsewhere: String,
    /// Whether tokens can be given back.
    pub revokes: bool,
    /// The public key of a client that calls for itself, and the algorithm that it signs with.
    pub client_key: Option<(Algorithm, Vec<u8>)>,
    /// Who serves those that have a token.
    pub behind: Option<SocketAddr>,
}

impl Default for Oddities {
    fn default() -> Self {
        Oddities {
            scope: None,
            pointer: true,
            resource_metadata: None,
            resource: None,
            metadata: json!({}),
            redirect: Vec::new(),
            lasts: Some(3_600),
            renews: true,
            registers: true,
            refuses_all: false,
            write_scope: None,
            grants: true,
            publishes: true,
            modern: false,
            issuer: "BASE/as".into(),
            elsewhere: String::new(),
            revokes: true,
            client_key: None,
            behind: None,
        }
    }
}

/// Both servers. Dropped, they are gone.
pub struct Authority {
    /// Without TLS.
    pub addr: SocketAddr,
    /// What both are called.
    base: String,
    pub notes: Arc<Mutex<Notes>>,
    forwarded: Arc<Mutex<JoinSet<()>>>,
    _serving: JoinSet<()>,
}

/// What happened.
#[derive(Debug, Default)]
pub struct Notes {
    /// Method and path of every request.
    pub asked: Vec<String>,
    /// The parameters of each authorization request, registration and token request.
    pub authorized: Vec<HashMap<String, String>>,
    pub registered: Vec<Value>,
    pub redeemed: Vec<HashMap<String, String>>,
    /// `Authorization` of each token request.
    pub proofs: Vec<Option<String>>,
    codes: HashMap<String, HashMap<String, String>>,
    /// Access tokens that are good, with what they allow.
    pub good: HashMap<String, HashSet<String>>,
    renewals: HashMap<String, String>,
    count: usize,
    /// The tokens that were given back, each as it was asked for.
    pub revoked: Vec<HashMap<String, String>>,
    /// The ids of signed statements.
    statements: HashSet<String>,
    /// Messages that the protected server took.
    pub heard: Vec<String>,
    pub device_asked: usize,
}

impl Notes {
    fn fresh(&mut self, what: &str) -> String {
        self.count += 1;
        format!("{MARK}-{what}-{}", self.count)
    }

    pub fn count(&self, what: &str) -> usize {
        self.asked.iter().filter(|asked| asked.starts_with(what)).count()
    }

    /// How many requests were for a token of this kind.
    pub fn grants(&self, kind: &str) -> usize {
        self.redeemed.iter().filter(|form| form["grant_type"] == kind).count()
    }
}

impl Authority {
    pub async fn start() -> Authority {
        Authority::odd(Oddities::default()).await
    }

    pub async fn odd(oddities: Oddities) -> Authority {
        let script = Script::start().await;
        let base = format!("http://{}", script.addr);
        Authority::serve(script, base, oddities)
    }

    /// Behind a socket with TLS, as `localhost`.
    pub async fn with_tls(oddities: Oddities, acceptor: TlsAcceptor) -> Authority {
        let script = Script::start().await;
        let front = in_front(acceptor, script.addr).await;
        Authority::serve(script, format!("https://localhost:{}", front.port()), oddities)
    }

    /// Under a name that is not this machine's: somebody has to lead the way to it.
    pub async fn called(base: &str, oddities: Oddities) -> Authority {
        Authority::serve(Script::start().await, base.to_owned(), oddities)
    }

    fn serve(mut script: Script, base: String, oddities: Oddities) -> Authority {
        let addr = script.addr;
        let notes = Arc::new(Mutex::new(Notes::default()));
        let mut serving = JoinSet::new();
        let site = Site { base: base.clone(), oddities, notes: notes.clone() };
        let forwarded = Arc::new(Mutex::new(JoinSet::new()));
        let under_way = forwarded.clone();
        serving.spawn(async move {
            while let Some(exchange) = script.next_or_end().await {
                if let Some((exchange, to)) = site.answer(exchange).await {
                    under_way.lock().unwrap().spawn(exchange.forward(to));
                }
            }
        });
        Authority { addr, base, notes, forwarded, _serving: serving }
    }

    /// Breaks off what the server behind it is at.
    pub fn cut(&self) {
        self.forwarded.lock().unwrap().abort_all();
    }

    /// Has every token be worthless from now on, those that renew among them.
    pub fn forget(&self) {
        self.notes(|notes| {
            notes.good.clear();
            notes.renewals.clear();
        });
    }

    pub fn url(&self) -> String {
        self.at("/mcp")
    }

    pub fn at(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// The same page without TLS, for a browser that trusts the private authority.
    pub fn inside(&self, page: &Url) -> Url {
        format!("http://{}{}", self.addr, &page[url::Position::BeforePath..]).parse().unwrap()
    }

    pub fn notes<T>(&self, read: impl FnOnce(&mut Notes) -> T) -> T {
        read(&mut self.notes.lock().unwrap())
    }

    /// Has every access token be worthless from now on.
    pub fn expire(&self) {
        self.notes(|notes| notes.good.clear());
    }
}

struct Site {
    base: String,
    oddities: Oddities,
    notes: Arc<Mutex<Notes>>,
}

impl Site {
    /// Gives back what another server is to answer.
    async fn answer(&self, exchange: Exchange) -> Option<(Exchange, SocketAddr)> {
        let (path, query) = exchange.path.split_once('?').unwrap_or((&exchange.path, ""));
        let (path, query) = (path.to_owned(), pairs(query));
        self.notes.lock().unwrap().asked.push(format!("{} {path}", exchange.method));
        let document = path.strip_prefix("/.well-known/oauth-protected-resource").filter(|_| self.oddities.publishes);
        if let Some(of) = document.filter(|of| !of.is_empty()) {
            let resource = self.oddities.resource.clone().unwrap_or_else(|| format!("{}{of}", self.base));
            let document = json!({
                "resource": resource,
                "authorization_servers": [self.named(&self.oddities.issuer)],
                "scopes_supported": ["read", "list"],
            });
            exchange.reply(200, &[], &document.to_string()).await;
            return None;
        }
        match path.as_str() {
            "/mcp" | "/sse" | "/messages" | "/ws" => return self.mcp(&path, exchange).await,
            "/.well-known/oauth-authorization-server/as" if self.oddities.publishes => {
                exchange.reply(200, &[], &self.metadata().to_string()).await;
            }
            "/.well-known/oauth-authorization-server" if self.oddities.issuer == "BASE/" => {
                exchange.reply(200, &[], &self.metadata().to_string()).await;
            }
            "/elsewhere" => exchange.reply(302, &[("Location", &self.oddities.elsewhere)], "").await,
            "/as/revoke" => {
                let form = pairs(&exchange.body);
                self.notes(|notes| {
                    notes.good.remove(&form["token"]);
                    notes.renewals.remove(&form["token"]);
                    notes.revoked.push(form);
                });
                exchange.reply(200, &[], "").await;
            }
            "/as/revoke-by-proof" if exchange.header("authorization").is_none() => {
                exchange.reply(401, &[], r#"{"error":"invalid_client"}"#).await;
            }
            "/as/revoke-by-proof" => {
                self.notes(|notes| notes.revoked.push(pairs(&exchange.body)));
                exchange.reply(200, &[], "").await;
            }
            "/as/register" => self.register(exchange).await,
            "/as/authorize" => self.authorize(exchange, query).await,
            "/as/token" => self.token(exchange).await,
            "/as/device" => {
                let body = json!({
                    "device_code": format!("{MARK}-device"), "user_code": "WDJB-MJHT",
                    "verification_uri": format!("{}/as/activate", self.base), "expires_in": 600, "interval": 1,
                });
                self.notes.lock().unwrap().authorized.push(pairs(&exchange.body));
                exchange.reply(200, &[], &body.to_string()).await;
            }
            _ => exchange.reply(404, &[], "").await,
        }
        None
    }

    fn notes<T>(&self, write: impl FnOnce(&mut Notes) -> T) -> T {
        write(&mut self.notes.lock().unwrap())
    }

    fn named(&self, text: &str) -> String {
        text.replace("BASE", &self.base)
    }

    fn metadata(&self) -> Value {
        let at = |path: &str| format!("{}/as{path}", self.base);
        let mut document = json!({
            "issuer": at(""),
            "authorization_endpoint": at("/authorize"),
            "token_endpoint": at("/token"),
            "device_authorization_endpoint": at("/device"),
            "response_types_supported": ["code"],
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": true,
        });
        if self.oddities.registers {
            document["registration_endpoint"] = json!(at("/register"));
        }
        if self.oddities.revokes {
            document["revocation_endpoint"] = json!(at("/revoke"));
        }
        for (name, value) in self.oddities.metadata.as_object().unwrap() {
            match value {
                Value::String(text) => document[name] = json!(self.named(text)),
                Value::Null => drop(document.as_object_mut().unwrap().remove(name)),
                value => document[name] = value.clone(),
            }
        }
        document
    }

    async fn register(&self, exchange: Exchange) {
        let wanted = exchange.json();
        self.notes.lock().unwrap().registered.push(wanted.clone());
        if !self.oddities.registers {
            return exchange.reply(403, &[], r#"{"error":"access_denied"}"#).await;
        }
        let mut body = wanted;
        body["client_id"] = json!("registered-by-itself");
        exchange.reply(201, &[], &body.to_string()).await;
    }

    async fn authorize(&self, exchange: Exchange, query: HashMap<String, String>) {
        let (code, back) = {
            let mut notes = self.notes.lock().unwrap();
            let code = notes.fresh("code");
            notes.authorized.push(query.clone());
            notes.codes.insert(code.clone(), query.clone());
            (code, query["redirect_uri"].clone())
        };
        let mut back = Url::parse(&back).unwrap();
        let mut params = vec![
            ("code", code),
            ("state", query["state"].clone()),
            ("iss", self.metadata()["issuer"].as_str().unwrap_or_default().to_owned()),
        ];
        for (name, value) in &self.oddities.redirect {
            params.retain(|(known, _)| known != name);
            if !value.is_empty() {
                params.push((name, (*value).to_owned()));
            }
        }
        back.query_pairs_mut().extend_pairs(params);
        exchange.reply(302, &[("Location", back.as_str())], "").await;
    }

    async fn token(&self, exchange: Exchange) {
        let form = pairs(&exchange.body);
        let answer = {
            let mut notes = self.notes.lock().unwrap();
            notes.redeemed.push(form.clone());
            let proof = exchange.header("authorization").map(str::to_owned);
            notes.proofs.push(proof);
            self.grant(&mut notes, &form)
        };
        match answer {
            Ok(body) => exchange.reply(200, &[], &body.to_string()).await,
            Err(error) => exchange.reply(400, &[], &json!({ "error": error }).to_string()).await,
        }
    }

    fn grant(&self, notes: &mut Notes, form: &HashMap<String, String>) -> Result<Value, &'static str> {
        let scope = match form["grant_type"].as_str() {
            "authorization_code" => {
                let asked = notes.codes.remove(&form["code"]).ok_or("invalid_grant")?;
                let challenge = asked.get("code_challenge").ok_or("invalid_request")?;
                let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, form["code_verifier"].as_bytes());
                use base64::Engine as _;
                let digest = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(digest.as_ref());
                if digest != *challenge || form["redirect_uri"] != asked["redirect_uri"] {
                    return Err("invalid_grant");
                }
                asked.get("scope").cloned().unwrap_or_default()
            }
            "refresh_token" => notes.renewals.remove(&form["refresh_token"]).ok_or("invalid_grant")?,
            "client_credentials" => {
                if let Some((algorithm, key)) = &self.oddities.client_key {
                    self.prove(notes, form, *algorithm, key).ok_or("invalid_client")?;
                }
                form.get("scope").cloned().unwrap_or_default()
            }
            "urn:ietf:params:oauth:grant-type:device_code" => {
                notes.device_asked += 1;
                if notes.device_asked == 1 {
                    return Err("authorization_pending");
                }
                "read".to_owned()
            }
            _ => return Err("unsupported_grant_type"),
        };
        let scope = if self.oddities.grants { scope } else { "read".into() };
        let access = notes.fresh("access");
        notes.good.insert(access.clone(), scope.split(' ').map(str::to_owned).collect());
        let mut answer = json!({ "access_token": access, "token_type": "Bearer", "scope": scope });
        if let Some(lasts) = self.oddities.lasts {
            answer["expires_in"] = json!(lasts);
        }
        if self.oddities.renews {
            let refresh = notes.fresh("refresh");
            notes.renewals.insert(refresh.clone(), scope);
            answer["refresh_token"] = json!(refresh);
        }
        Ok(answer)
    }

    /// Whether the client is who it says (RFC 7523, 3): signed with its key, by it, about it, for this reader, now, and
    /// never seen before.
    fn prove(&self, notes: &mut Notes, form: &HashMap<String, String>, algorithm: Algorithm, key: &[u8]) -> Option<()> {
        let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
        if form.get("client_assertion_type")? != kind || form.contains_key("client_secret") {
            return None;
        }
        let key = match algorithm {
            Algorithm::RS256 => DecodingKey::from_rsa_der(key),
            _ => DecodingKey::from_ec_der(key),
        };
        let mut wanted = Validation::new(algorithm);
        wanted.leeway = 0;
        wanted.set_required_spec_claims(&["iss", "sub", "aud", "exp"]);
        wanted.set_issuer(&["me"]);
        wanted.set_audience(&[self.metadata()["issuer"].as_str()?]);
        wanted.sub = Some("me".into());
        let statement = decode::<Value>(form.get("client_assertion")?, &key, &wanted).ok()?;
        notes.statements.insert(statement.claims["jti"].as_str()?.to_owned()).then_some(())
    }

    fn challenge(&self, path: &str, more: &str) -> String {
        let of = if path == "/messages" { "/sse" } else { path };
        let at = format!("{}/.well-known/oauth-protected-resource{of}", self.base);
        let at = self.oddities.resource_metadata.clone().unwrap_or(at);
        let mut params = Vec::new();
        if self.oddities.pointer {
            params.push(format!("resource_metadata=\"{at}\""));
        }
        params.extend(self.oddities.scope.filter(|_| more.is_empty()).map(|scope| format!("scope=\"{scope}\"")));
        params.extend((!more.is_empty()).then(|| more.to_owned()));
        format!("Bearer {}", params.join(", "))
    }

    async fn mcp(&self, path: &str, exchange: Exchange) -> Option<(Exchange, SocketAddr)> {
        if self.oddities.modern && exchange.body.contains(r#""method":"initialize""#) {
            let id = &exchange.json()["id"];
            let body =
                json!({"jsonrpc": "2.0", "id": id, "error": {"code": -32020, "message": "no version in the headers"}});
            exchange.reply(400, &[], &body.to_string()).await;
            return None;
        }
        let token = exchange.header("authorization").and_then(|value| value.strip_prefix("Bearer ")).map(str::to_owned);
        let allowed = {
            let notes = self.notes.lock().unwrap();
            token.and_then(|token| notes.good.get(&token).cloned()).filter(|_| !self.oddities.refuses_all)
        };
        let Some(allowed) = allowed else {
            exchange.reply(401, &[("WWW-Authenticate", &self.challenge(path, ""))], "").await;
            return None;
        };
        if let Some(server) = self.oddities.behind {
            return Some((exchange, server));
        }
        self.serve(path, exchange, &allowed).await;
        None
    }

    async fn serve(&self, path: &str, exchange: Exchange, allowed: &HashSet<String>) {
        if exchange.method != "POST" {
            return exchange.reply(405, &[], "").await;
        }
        let message = exchange.json();
        let method = message["method"].as_str().unwrap_or_default().to_owned();
        if let Some(scope) = self.oddities.write_scope.filter(|_| message["params"]["name"] == "write")
            && !allowed.contains(scope)
        {
            let more = format!("error=\"insufficient_scope\", scope=\"{scope}\"");
            return exchange.reply(403, &[("WWW-Authenticate", &self.challenge(path, &more))], "").await;
        }
        self.notes.lock().unwrap().heard.push(method.clone());
        match method.as_str() {
            "initialize" => exchange.initialized(&format!("{MARK}-session"), "2025-06-18").await,
            "tools/call" => {
                let name = message["params"]["name"].as_str().unwrap().to_owned();
                exchange.result(text(&name)).await;
            }
            "server/discover" if self.oddities.modern => {
                let result = json!({"resultType": "complete", "supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}});
                exchange.result(result).await;
            }
            "server/discover" => {
                let body = json!({"jsonrpc": "2.0", "id": message["id"], "error": {"code": -32601, "message": "no"}});
                exchange.reply(200, &[], &body.to_string()).await;
            }
            method if method.starts_with("notifications/") => exchange.reply(202, &[], "").await,
            _ => exchange.result(initialize_result("2025-06-18")).await,
        }
    }
}

fn pairs(query: &str) -> HashMap<String, String> {
    form_urlencoded::parse(query.as_bytes()).into_owned().collect()
}

/// A user's desktop: a place for state, and a browser that only notes what it was told to open. The test is who clicks.
pub struct Desktop {
    home: tempfile::TempDir,
}

impl Desktop {
    pub fn new() -> Desktop {
        use std::os::unix::fs::PermissionsExt;
        let home = tempfile::tempdir().unwrap();
        let browser = home.path().join("browser");
        let opened = home.path().join("opened");
        // What it is given, whole: a shell of its own would split it.
        fs::write(&browser, format!("#!/bin/sh\nprintf '%s %s\\n' \"$#\" \"$1\" >> '{}'\n", opened.display())).unwrap();
        fs::set_permissions(&browser, fs::Permissions::from_mode(0o755)).unwrap();
        Desktop { home }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// The environment of a program on it.
    pub fn env(&self) -> Vec<(String, String)> {
        let text = |name: &str| self.path(name).to_str().unwrap().to_owned();
        vec![
            ("BROWSER".into(), text("browser")),
            ("XDG_STATE_HOME".into(), text("state")),
            ("HOME".into(), text("home")),
        ]
    }

    /// The pages that were opened.
    pub fn opened(&self) -> Vec<String> {
        let lines = fs::read_to_string(self.path("opened")).unwrap_or_default();
        let lines = lines.lines().map(|line| line.strip_prefix("1 ").expect("one argument").to_owned());
        lines.collect()
    }

    /// Waits for the page that is opened after so many.
    pub async fn page(&self, after: usize) -> Url {
        let page = eventually("a page in the browser", || self.opened().get(after).cloned()).await;
        Url::parse(&page).unwrap()
    }

    /// Logs in: opens the page, and follows to where it leads. Gives the address of the last page, and what it said.
    pub async fn log_in(&self, after: usize) -> (Url, Response) {
        let back = self.allow(after).await;
        let last = get(&back, &[]).await;
        (back, last)
    }

    /// Opens the page and allows it, but does not go where it leads.
    pub async fn allow(&self, after: usize) -> Url {
        let page = self.page(after).await;
        let allowed = get(&page, &[]).await;
        Url::parse(allowed.header("location").expect("a redirect")).unwrap()
    }

    /// The files that hold tokens.
    pub fn kept(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.path("state/mcp-bridge/auth")).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|ext| ext == "json")).collect()
    }
}

/// One GET, as a browser makes it.
pub async fn get(url: &Url, headers: &[(&str, &str)]) -> Response {
    let addr = SocketAddr::new(url.host_str().unwrap().parse().unwrap(), url.port().unwrap());
    let host = addr.to_string();
    let mut all = vec![("Host", host.as_str())];
    all.retain(|_| !headers.iter().any(|(name, _)| *name == "Host"));
    all.extend(headers);
    http::ask(addr, "GET", &url[url::Position::BeforePath..url::Position::AfterQuery], &all, "").await
}
