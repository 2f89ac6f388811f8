//! Rights, and the roles that combine them.

/// What may be done with a file or a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    /// See that it exists: its name and its details.
    List,
    /// Read its content.
    Read,
    /// See a preview that is not its content.
    Preview,
    /// Add something new to a folder.
    Create,
    /// Rename, move and annotate it, and replace its content.
    Update,
    /// Delete it.
    Delete,
    /// Give others access to it.
    Share,
    /// Change who the members of a space are, and read the audit log.
    Manage,
}

impl Right {
    /// Every right.
    pub const ALL: [Self; 8] =
        [Self::List, Self::Read, Self::Preview, Self::Create, Self::Update, Self::Delete, Self::Share, Self::Manage];

    /// The stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Right::List => "list",
            Right::Read => "read",
            Right::Preview => "preview",
            Right::Create => "create",
            Right::Update => "update",
            Right::Delete => "delete",
            Right::Share => "share",
            Right::Manage => "manage",
        }
    }

    fn bit(self) -> i64 {
        1 << (self as i64)
    }
}

/// A set of rights. Rows store its bits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rights(i64);

impl Rights {
    /// No right.
    pub const NONE: Self = Self(0);
    /// All rights.
    pub const ALL: Self = Self(0xff);

    /// These rights.
    pub fn of(rights: &[Right]) -> Self {
        Self(rights.iter().fold(0, |bits, right| bits | right.bit()))
    }

    /// The rights with these bits.
    pub fn from_bits(bits: i64) -> Self {
        Self(bits & Self::ALL.0)
    }

    /// The bits.
    pub fn bits(self) -> i64 {
        self.0
    }

    /// Whether this right is one of them.
    pub fn contains(self, right: Right) -> bool {
        self.0 & right.bit() != 0
    }

    /// The rights of either.
    #[must_use]
    pub fn or(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }
}

/// What a grant allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Sees and reads.
    Viewer,
    /// Sees names, details and previews, and reads no content.
    Previewer,
    /// Adds files, and neither sees nor changes what is there.
    Uploader,
    /// Reads, adds, changes and deletes.
    Editor,
    /// An editor who also shares, and manages members.
    Manager,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 5] = [Self::Viewer, Self::Previewer, Self::Uploader, Self::Editor, Self::Manager];

    /// The stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Viewer => "viewer",
            Role::Previewer => "previewer",
            Role::Uploader => "uploader",
            Role::Editor => "editor",
            Role::Manager => "manager",
        }
    }

    /// The role with this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == name)
    }

    /// What it allows.
    pub fn rights(self) -> Rights {
        use Right::{Create, Delete, List, Preview, Read, Update};
        match self {
            Role::Viewer => Rights::of(&[List, Read, Preview]),
            Role::Previewer => Rights::of(&[List, Preview]),
            Role::Uploader => Rights::of(&[Create]),
            Role::Editor => Rights::of(&[List, Read, Preview, Create, Update, Delete]),
            Role::Manager => Rights::ALL,
        }
    }
}
