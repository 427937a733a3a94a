//! Which tools a caller's token covers.
//!
//! Owns the check of one call. Talks to the locks of the door, which know what each tool takes. The door puts the gate into
//! a request, and the wire that reads the body asks it: nobody else has both.

use std::sync::Arc;

use http::{Request, StatusCode};

use super::Refusal;
use crate::{
    audit::What,
    auth::resource::{Denied, Gate, Scopes},
    message::Frame,
    protocol::method,
    wire::http::mirror,
};

/// Lets calls pass that the caller's token covers. The default lets all pass.
#[derive(Debug, Clone, Default)]
pub struct ToolGate(Option<Arc<Tools>>);

#[derive(Debug)]
struct Tools {
    gate: Arc<Gate>,
    scopes: Scopes,
    /// Where the metadata of the resource is.
    metadata: String,
}

impl ToolGate {
    /// For a caller whose token has these scopes.
    pub fn new(gate: Arc<Gate>, scopes: Scopes, metadata: String) -> ToolGate {
        ToolGate(Some(Arc::new(Tools { gate, scopes, metadata })))
    }

    /// The one that the door put into a request.
    pub fn of<B>(request: &Request<B>) -> ToolGate {
        request.extensions().get().cloned().unwrap_or_default()
    }

    /// Whether a call is covered. 403 tells all scopes that it takes, so that the client can ask for them at once
    /// (2025-11-25, Authorization, Scope Challenge Handling).
    pub fn check(&self, frame: &Frame) -> Result<(), Refusal> {
        let Some(Tools { gate, scopes, metadata }) = self.0.as_deref() else { return Ok(()) };
        if frame.method() != method::TOOLS_CALL {
            return Ok(());
        }
        // Two readers could take different tools from it.
        let name = mirror::subject(frame)
            .map_err(|fault| Refusal::new(StatusCode::BAD_REQUEST, fault.to_string()).id(frame.id_text()))?;
        let wanted = gate.scopes_of_tool(name.as_deref().unwrap_or_default());
        match scopes.cover(wanted.iter().copied()) {
            true => Ok(()),
            false => Err(Denied::scope(wanted)
                .into_refusal(Some(metadata), gate.scopes())
                .of(Some(What::of(frame)))
                .id(frame.id_text())),
        }
    }

    /// Whether every tool is covered: for a connection on which no single call can be answered with a challenge.
    pub fn check_all(&self) -> Result<(), Refusal> {
        let Some(Tools { gate, scopes, metadata }) = self.0.as_deref() else { return Ok(()) };
        let wanted = gate.all_scopes();
        match scopes.cover(wanted.iter().copied()) {
            true => Ok(()),
            false => Err(Denied::scope(wanted).into_refusal(Some(metadata), gate.scopes())),
        }
    }
}
