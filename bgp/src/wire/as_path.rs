//! AS_PATH and AS4_PATH (RFC 4271 §4.3 b, RFC 6793).

/// The autonomous systems that a route passed, the last one first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct AsPath(pub Vec<Segment>);

/// A part of a path.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Segment {
    /// In this order; at most 255.
    Sequence(Vec<u32>),
    /// In no order: aggregated.
    Set(Vec<u32>),
}
