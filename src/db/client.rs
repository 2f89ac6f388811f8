//! Who a statement runs for: it decides whose share of the connections the statement uses.

use std::sync::{Arc, Mutex, PoisonError};

use crate::budget::Party;

tokio::task_local! {
    static CLIENT: Client;
}

/// The client of a request. Statements of its tasks use its share of the connections and have a time limit; those of
/// background jobs and commands, which have no client, do neither.
#[derive(Debug, Clone)]
pub struct Client(Arc<Mutex<Party>>);

impl Client {
    /// A client that uses the share of this party.
    pub fn new(party: Party) -> Self {
        Self(Arc::new(Mutex::new(party)))
    }

    /// From now on the client uses the share of another party: of its account, once that is authenticated.
    pub fn become_party(&self, party: Party) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = party;
    }

    /// Runs work for this client.
    pub async fn scope<T>(self, work: impl Future<Output = T>) -> T {
        CLIENT.scope(self, work).await
    }
}

/// The party that the current task works for; `None` in a background job or a command.
pub(super) fn current_party() -> Option<Party> {
    CLIENT.try_with(|client| *client.0.lock().unwrap_or_else(PoisonError::into_inner)).ok()
}
