//! Who asks.

use uuid::Uuid;

/// Who asks for a right: an actor, whose rights it has.
#[derive(Debug, Clone, Copy)]
pub struct Subject {
    /// The account that acts.
    pub actor: Uuid,
}

impl Subject {
    /// An account with everything that it may do.
    pub fn account(actor: Uuid) -> Self {
        Self { actor }
    }
}
