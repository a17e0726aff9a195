use crate::store::Trial;

/// The configuration as status shows it.
#[derive(Debug, Clone, Default)]
pub(crate) struct View {
    /// What runs.
    pub(crate) generation: u32,
    /// What the next start begins with; `None` where a file is the only source.
    pub(crate) startup: Option<u32>,
    /// What is to be confirmed.
    pub(crate) trial: Option<Trial>,
    /// What was found damaged at the start.
    pub(crate) damage: Option<String>,
}
