//! The trail: who did what, when, from where, by what and through which door.
//!
//! What changes something is written down in the transaction that changes it, one more INSERT there:
//! neither is there without the other, whatever crashes. What only reads, and what was refused, goes
//! through the [`Recorder`], which writes it down within a second or so and never keeps anybody waiting.
//!
//! Who is at work is known where a request comes in and needed where rows are written. It goes along
//! with the request's task, as its tracing span does; see [`RequestContext`].

mod list;
mod recorder;

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::clock::Clock;
use crate::db::EventRow;

pub use list::{AuditEvent, Filter, Page, list};
pub use recorder::Recorder;

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    AccountCreated,
    AccountChanged,
    AccountDisabled,
    AccountEnabled,
    AccountDeleted,
    AccountExported,
    QuotaChanged,
    PasswordChanged,
    SignedIn,
    SignInRefused,
    SignedOut,
    SessionEnded,
    TokenCreated,
    TokenRevoked,
    FileUploaded,
    FileReplaced,
    FileChanged,
    FileDownloaded,
    /// Into the trash.
    FileTrashed,
    FileRestored,
    /// For good.
    FileDeleted,
    UrlSigned,
    LinkCreated,
    LinkChanged,
    LinkRevoked,
    LinkDownloaded,
    LinkRefused,
    FsckStarted,
}

impl EventKind {
    /// As it is in rows and answers.
    pub fn as_str(self) -> String {
        let name = serde_json::to_value(self).ok();
        name.as_ref().and_then(Value::as_str).unwrap_or_default().to_owned()
    }
}

/// Something that was done, as whoever does it tells it. Never put a secret into it.
#[derive(Debug, Clone)]
pub struct Event {
    kind: EventKind,
    account: Option<Uuid>,
    file: Option<Uuid>,
    link: Option<Uuid>,
    detail: Map<String, Value>,
    scene: Option<RequestContext>,
}

impl Event {
    /// An event in the trail of an account: of the owner of the file, of the account that is signed
    /// in to or changed; `None` if it is nobody's.
    pub fn new(kind: EventKind, account: impl Into<Option<Uuid>>) -> Self {
        let scene = REQUEST_CONTEXT.try_with(RequestContext::clone).ok();
        Self { kind, account: account.into(), file: None, link: None, detail: Map::new(), scene }
    }

    pub fn file(self, id: Uuid) -> Self {
        Self { file: Some(id), ..self }
    }

    pub fn link(self, id: Uuid) -> Self {
        Self { link: Some(id), ..self }
    }

    /// Leaves out who did it, and from where.
    pub fn without_actor(self) -> Self {
        Self { scene: None, ..self }
    }

    /// Something else that there is to say.
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.detail.insert(name.to_owned(), value.into());
        self
    }

    /// The row to be written, of now. Each has an id of its own.
    pub fn row(&self, clock: &Clock) -> EventRow {
        let shown = self.scene.as_ref().map(|scene| scene.lock().clone()).unwrap_or_default();
        EventRow {
            id: clock.new_id(),
            at: clock.now().as_microsecond(),
            kind: self.kind.as_str(),
            user_id: self.account,
            actor_id: shown.actor.map(|actor| actor.account),
            credential: shown.actor.map(|actor| actor.credential.to_owned()),
            credential_id: shown.actor.map(|actor| actor.credential_id),
            file_id: self.file,
            link_id: self.link,
            address: shown.address.map(|address| address.to_string()),
            channel: shown.door.unwrap_or("server").to_owned(),
            detail: Value::Object(self.detail.clone()).to_string(),
        }
    }
}

/// Who is at work, and through which door. There is one for each request, and one for a command.
#[derive(Debug, Clone, Default)]
pub struct RequestContext(Arc<Mutex<ContextState>>);

#[derive(Debug, Clone, Default)]
struct ContextState {
    address: Option<IpAddr>,
    door: Option<&'static str>,
    actor: Option<Actor>,
}

/// Who has shown who they are.
#[derive(Debug, Clone, Copy)]
pub struct Actor {
    pub account: Uuid,
    /// `session` or `token`, and its id.
    pub credential: &'static str,
    pub credential_id: Uuid,
}

tokio::task_local! {
    static REQUEST_CONTEXT: RequestContext;
}

impl RequestContext {
    pub fn new(door: &'static str, address: Option<IpAddr>) -> Self {
        Self(Arc::new(Mutex::new(ContextState { address, door: Some(door), actor: None })))
    }

    /// Does work on this scene.
    pub async fn scope<T>(self, work: impl Future<Output = T>) -> T {
        REQUEST_CONTEXT.scope(self, work).await
    }

    fn lock(&self) -> MutexGuard<'_, ContextState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Says who is at work, once that is known.
pub fn set_actor(actor: Actor) {
    let _ = REQUEST_CONTEXT.try_with(|scene| scene.lock().actor = Some(actor));
}

/// Says through which door the work comes, where that is more than a call of the API.
pub fn set_channel(door: &'static str) {
    let _ = REQUEST_CONTEXT.try_with(|scene| scene.lock().door = Some(door));
}

/// Work that is to go on in a task of its own, on the same scene.
pub fn in_current_context<T>(work: impl Future<Output = T>) -> impl Future<Output = T> {
    let scene = REQUEST_CONTEXT.try_with(RequestContext::clone).unwrap_or_default();
    REQUEST_CONTEXT.scope(scene, work)
}
