//! The context of a request: the client's address, the channel, and the actor.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

use crate::budget::Party;
use crate::db::{Client, PermitSlot};

tokio::task_local! {
    static REQUEST_CONTEXT: RequestContext;
}

/// The entry point of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Channel {
    /// Any other API call.
    Api,
    /// An upload whose body is the content.
    Raw,
    /// An upload with a form.
    Form,
    /// A tus upload.
    Tus,
    /// A direct upload, in parts sent to the store.
    Direct,
    /// A batch.
    Batch,
    /// A signed PUT URL.
    SignedPut,
    /// A signed URL to read.
    SignedUrl,
    /// A share link.
    Link,
    /// The command line.
    Command,
    /// The server itself.
    #[default]
    Server,
}

impl Channel {
    /// The name in the database and in the API. It must never change.
    pub const fn as_str(self) -> &'static str {
        match self {
            Channel::Api => "api",
            Channel::Raw => "raw",
            Channel::Form => "form",
            Channel::Tus => "tus",
            Channel::Direct => "direct",
            Channel::Batch => "batch",
            Channel::SignedPut => "signed_put",
            Channel::SignedUrl => "signed_url",
            Channel::Link => "link",
            Channel::Command => "command",
            Channel::Server => "server",
        }
    }
}

/// The authenticated account, and its credential.
#[derive(Debug, Clone, Copy)]
pub struct Actor {
    /// The id of the account.
    pub account: Uuid,
    /// `session` or `token`.
    pub credential: &'static str,
    /// The id of the session or token.
    pub credential_id: Uuid,
}

/// Who acts, from where, through which channel, and by which permit. There is one for each request, and one for a command.
#[derive(Debug, Clone, Default)]
pub struct RequestContext {
    state: Arc<Mutex<ContextState>>,
    /// Whose share of the database is used; `None` for a command.
    client: Option<Client>,
    permit: PermitSlot,
}

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct ContextState {
    pub(super) address: Option<IpAddr>,
    pub(super) channel: Channel,
    pub(super) actor: Option<Actor>,
}

impl RequestContext {
    /// A context without an actor.
    pub fn new(channel: Channel, address: Option<IpAddr>) -> Self {
        Self {
            state: Arc::new(Mutex::new(ContextState { address, channel, actor: None })),
            permit: PermitSlot::default(),
            client: address.map(|address| Client::new(Party::at(address))),
        }
    }

    /// Runs work in this context.
    pub async fn scope<T>(self, work: impl Future<Output = T>) -> T {
        let (permit, client) = (self.permit.clone(), self.client.clone());
        let work = permit.scope(REQUEST_CONTEXT.scope(self, work));
        match client {
            Some(client) => client.scope(work).await,
            None => work.await,
        }
    }

    /// The context of the current task; `None` in a background job.
    pub(super) fn current() -> Option<Self> {
        REQUEST_CONTEXT.try_with(RequestContext::clone).ok()
    }

    pub(super) fn state(&self) -> ContextState {
        *self.lock()
    }

    fn lock(&self) -> MutexGuard<'_, ContextState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sets the actor of the current context, once it is authenticated.
pub fn set_actor(actor: Actor) {
    let _ = REQUEST_CONTEXT.try_with(|context| {
        context.lock().actor = Some(actor);
        if let Some(client) = &context.client {
            client.become_party(Party::Account(actor.account));
        }
    });
}

/// Sets the channel of the current context, where it is more specific than [`Channel::Api`].
pub fn set_channel(channel: Channel) {
    let _ = REQUEST_CONTEXT.try_with(|context| context.lock().channel = channel);
}

/// Work that runs in the current context even if it is spawned as another task.
pub fn in_current_context<T>(work: impl Future<Output = T>) -> impl Future<Output = T> {
    RequestContext::current().unwrap_or_default().scope(work)
}

#[cfg(test)]
mod tests {
    use super::Channel;
    use super::Channel::*;

    /// Rows of earlier versions have these names.
    const PINNED: &[(Channel, &str)] = &[
        (Api, "api"),
        (Raw, "raw"),
        (Form, "form"),
        (Tus, "tus"),
        (Direct, "direct"),
        (Batch, "batch"),
        (SignedPut, "signed_put"),
        (SignedUrl, "signed_url"),
        (Link, "link"),
        (Command, "command"),
        (Server, "server"),
    ];

    #[test]
    fn the_names_of_channels_are_stable_and_complete() {
        for (channel, name) in PINNED {
            assert_eq!(channel.as_str(), *name);
        }
        // Variants are numbered from 0, so that the last one tells how many there are.
        assert_eq!(PINNED.len(), Server as usize + 1);
    }
}
