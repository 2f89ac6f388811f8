//! The audit log, and the feed of the change log. The audit log: who did what, when, from where, with which credential and through which channel.
//!
//! An event of a change is inserted in the transaction of that change, so that neither exists without the other, even
//! after a crash. Events of reads and of refusals go through the [`Recorder`], which writes them within about a second
//! and never makes a request wait.
//!
//! The actor is known where a request is authenticated, and needed where rows are written. The [`RequestContext`]
//! travels with the task of the request, as its tracing span does.

mod changes;
mod context;
mod kind;
mod list;
mod recorder;

use serde_json::{Map, Value};
use uuid::Uuid;

use crate::clock::Clock;
use crate::db::EventRow;

pub use changes::{ChangeFeed, ChangeSubscription, LogEnd};
pub use context::{Actor, Channel, RequestContext, in_current_context, set_actor, set_channel};
pub use kind::EventKind;
pub use list::{AuditEvent, EventCredential, Filter, list};
pub use recorder::Recorder;

/// An event that is about to be recorded. It must never contain a secret.
#[derive(Debug, Clone)]
pub struct Event {
    kind: EventKind,
    space: Option<Uuid>,
    file: Option<Uuid>,
    link: Option<Uuid>,
    detail: Map<String, Value>,
    context: Option<RequestContext>,
}

impl Event {
    /// An event in the audit log of a space: of that of the file, or of the personal one of the account that is
    /// changed or signed in to; `None` if it belongs to none. The actor is that of the current request.
    pub fn new(kind: EventKind, space: impl Into<Option<Uuid>>) -> Self {
        Self {
            kind,
            space: space.into(),
            file: None,
            link: None,
            detail: Map::new(),
            context: RequestContext::current(),
        }
    }

    /// Adds the file that it is about.
    pub fn file(self, id: Uuid) -> Self {
        Self { file: Some(id), ..self }
    }

    /// Adds the link that it is about.
    pub fn link(self, id: Uuid) -> Self {
        Self { link: Some(id), ..self }
    }

    /// Removes the actor, the address and the channel.
    pub fn without_actor(self) -> Self {
        Self { context: None, ..self }
    }

    /// Adds a member to the details.
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.detail.insert(name.to_owned(), value.into());
        self
    }

    /// A row with a new id and the current time.
    pub fn row(&self, clock: &Clock) -> EventRow {
        let context = self.context.as_ref().map(RequestContext::state).unwrap_or_default();
        EventRow {
            id: clock.new_id(),
            at: clock.now().into(),
            kind: self.kind.as_str().to_owned(),
            space_id: self.space,
            actor_id: context.actor.map(|actor| actor.account),
            credential: context.actor.map(|actor| actor.credential.to_owned()),
            credential_id: context.actor.map(|actor| actor.credential_id),
            file_id: self.file,
            link_id: self.link,
            address: context.address.map(|address| address.to_string()),
            channel: context.channel.as_str().to_owned(),
            detail: Value::Object(self.detail.clone()).to_string(),
        }
    }
}
