//! The endpoint as one caller sees it whose server gets variables from it (`--header-env`,
//! `--claim-env`).
//!
//! Owns the books of tools of each such caller, since servers with different accounts may list different tools. Talks to
//! the registry. It never sees a header's or a claim's value.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use http::HeaderMap;

use super::{Accept, tools::Books};
use crate::{auth::resource::TokenClaims, registry::Registry, wire::exchange::Refusal};

/// Books by registry. Bounded by the registries that there are.
#[derive(Debug, Default)]
pub(super) struct CallersBooks(Mutex<Vec<(Weak<Registry>, Arc<Books>)>>);

impl CallersBooks {
    fn of(&self, registry: &Arc<Registry>) -> Arc<Books> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|(of, _)| of.strong_count() > 0);
        if let Some((_, books)) = all.iter().find(|(of, _)| of.as_ptr() == Arc::as_ptr(registry)) {
            return books.clone();
        }
        let books = Arc::default();
        all.push((Arc::downgrade(registry), Arc::clone(&books)));
        books
    }
}

impl Accept {
    /// The same endpoint, with the server of whoever sent these headers with such a token.
    pub(super) fn for_caller(&self, headers: &HeaderMap, claims: &TokenClaims) -> Result<Accept, Refusal> {
        let registry = self.registry.for_caller(headers, claims)?;
        let tools = self.callers.of(&registry);
        Ok(Accept {
            registry,
            sessions: self.sessions.clone(),
            limits: self.limits.clone(),
            keep_alive: self.keep_alive,
            scope: self.scope.clone(),
            patience: self.patience.clone(),
            exchanges: self.exchanges.clone(),
            room: self.room.clone(),
            tools,
            callers: self.callers.clone(),
        })
    }
}
