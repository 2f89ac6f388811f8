//! Who asks.

use uuid::Uuid;

use super::Rights;

/// Who asks for a right: an actor, whose rights it has within limits.
#[derive(Debug, Clone, Copy)]
pub struct Subject {
    /// The account that acts.
    pub actor: Uuid,
    /// The rights that the credential allows at most.
    pub(super) limit: Rights,
    /// The folder that the credential is limited to.
    pub(super) folder: Option<Uuid>,
}

impl Subject {
    /// An account with everything that it may do.
    pub fn account(actor: Uuid) -> Self {
        Self { actor, limit: Rights::ALL, folder: None }
    }

    /// The folder that its paths begin in: the top folder of its own space, or the one that it is limited to.
    pub fn home(&self) -> Uuid {
        self.folder.unwrap_or(self.actor)
    }

    /// The same with at most these rights, in this folder if there is one.
    #[must_use]
    pub fn limited(self, rights: Rights, folder: Option<Uuid>) -> Self {
        Self { limit: self.limit.and(rights), folder: folder.or(self.folder), ..self }
    }
}
