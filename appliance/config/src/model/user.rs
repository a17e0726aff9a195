use crate::reader::Value;

/// Somebody who may log in; how is no part of the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct User {
    /// What the user may do.
    pub role: Role,
}

/// What a user may do, each more than the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// See everything but secrets.
    Viewer,
    /// Also connect, disconnect, reset and clear.
    Operator,
    /// Also change the configuration, secrets and users.
    Admin,
}

pub(crate) const ROLE: &[(&str, Role)] = &[
    ("viewer", Role::Viewer),
    ("operator", Role::Operator),
    ("admin", Role::Admin),
];

impl Role {
    /// The word that stands for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

impl User {
    pub(crate) fn read(value: &Value<'_>) -> Option<Self> {
        let mut object = value.object()?;
        let role = object.required("role", |value| value.word(ROLE, &[]));
        role.map(|role| Self { role })
    }
}
