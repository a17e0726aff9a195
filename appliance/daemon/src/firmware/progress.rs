use image_slots::Content;

/// How far an upload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// There was none since the daemon started.
    None,
    /// Octets come and are written.
    Receiving,
    /// All are there and are read back.
    Checking,
    /// The system can be installed.
    Ready,
    /// It was refused, or broke off.
    Failed,
}

impl Stage {
    /// The word for it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Receiving => "receiving",
            Self::Checking => "checking",
            Self::Ready => "ready",
            Self::Failed => "failed",
        }
    }
}

/// The last upload.
#[derive(Debug, Clone)]
pub(crate) struct Progress {
    /// How far it is.
    pub(crate) stage: Stage,
    /// Octets of the system that are written.
    pub(crate) received: u64,
    /// Octets that the system has; 0 before its manifest is there.
    pub(crate) size: u64,
    /// What it is, once its manifest is there.
    pub(crate) content: Option<Content>,
    /// Why it failed: the reason word, and words for people.
    pub(crate) fault: Option<(&'static str, String)>,
}

impl Progress {
    /// One that has come so far, and of which nothing else is known.
    pub(crate) fn at(stage: Stage) -> Self {
        Self {
            stage,
            received: 0,
            size: 0,
            content: None,
            fault: None,
        }
    }
}
