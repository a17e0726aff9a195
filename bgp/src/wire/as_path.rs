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

impl AsPath {
    /// Its length as the choice of paths counts it: a set is one (RFC 4271 §9.1.2.2 a).
    pub fn count(&self) -> u16 {
        let counts = self.0.iter().map(|segment| match segment {
            Segment::Sequence(systems) => u16::try_from(systems.len()).unwrap_or(u16::MAX),
            Segment::Set(_) => 1,
        });
        counts.fold(0, u16::saturating_add)
    }

    /// Whether it passed this autonomous system (§9.1.2).
    pub fn contains(&self, asn: u32) -> bool {
        self.0.iter().any(|segment| match segment {
            Segment::Sequence(systems) | Segment::Set(systems) => systems.contains(&asn),
        })
    }

    /// Puts an autonomous system before all others (§5.1.2).
    pub fn prepend(&mut self, asn: u32) {
        match self.0.first_mut() {
            Some(Segment::Sequence(systems)) if systems.len() < 255 => systems.insert(0, asn),
            Some(Segment::Sequence(_) | Segment::Set(_)) | None => {
                self.0.insert(0, Segment::Sequence(vec![asn]))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A set counts as one, whatever is in it.
    #[test]
    fn a_set_counts_once() {
        let path = AsPath(vec![Segment::Sequence(vec![1, 2]), Segment::Set(vec![3, 4, 5])]);
        assert_eq!(path.count(), 3);
        assert!(path.contains(4) && !path.contains(6));
    }

    /// A full segment, and a set, get a segment before them (RFC 4271 §5.1.2 b).
    #[test]
    fn prepending_begins_a_segment_where_none_has_room() {
        let mut path = AsPath(vec![Segment::Sequence(vec![9; 254])]);
        path.prepend(1);
        path.prepend(2);
        let mut full = vec![9; 254];
        full.insert(0, 1);
        assert_eq!(path.0, [Segment::Sequence(vec![2]), Segment::Sequence(full)]);
        let mut path = AsPath(vec![Segment::Set(vec![3])]);
        path.prepend(1);
        assert_eq!(path.0, [Segment::Sequence(vec![1]), Segment::Set(vec![3])]);
    }
}
