use super::event::Event;

/// Which events somebody wants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Select {
    /// Of this connection only.
    pub(crate) connection: Option<String>,
    /// Not older than this, in seconds since 1970.
    pub(crate) since: Option<i64>,
}

/// Where somebody begins to listen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum From {
    /// With what happens next.
    Now,
    /// With the oldest that is kept.
    Oldest,
    /// With the one after this.
    After(u64),
}

impl Select {
    /// Whether this is wanted.
    pub(crate) fn wants(&self, event: &Event) -> bool {
        let of = |name: &String| event.connection.as_deref() == Some(name);
        self.connection.as_ref().is_none_or(of) && self.since.is_none_or(|since| event.at >= since)
    }
}
