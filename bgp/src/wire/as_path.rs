//! AS_PATH and AS4_PATH (RFC 4271 §4.3 b, RFC 6793).

use std::fmt;

use super::octets::{length_u8, take_u8, take_u16, take_u32};
use super::registry::AS_TRANS;

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

/// AS_SET.
const SET: u8 = 1;
/// AS_SEQUENCE.
const SEQUENCE: u8 = 2;
/// AS_CONFED_SEQUENCE and AS_CONFED_SET (RFC 5065 §3).
const CONFEDERATION: [u8; 2] = [3, 4];
/// The most that one segment holds.
const SEGMENT: usize = 255;

/// Which attribute is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// AS_PATH, of numbers of two octets.
    Short,
    /// AS_PATH, of numbers of four octets.
    Long,
    /// AS4_PATH: of four octets, and segments of a confederation are left out (RFC 6793 §6).
    As4,
}

impl AsPath {
    /// Reads the value of the attribute; the error says what is wrong (RFC 7606 §7.2, RFC 6793 §6).
    pub(super) fn decode(mut value: &[u8], form: Form) -> Result<Self, String> {
        let octets = &mut value;
        let mut segments = Vec::new();
        while let Some(kind) = take_u8(octets) {
            let count = take_u8(octets).ok_or("one octet follows the last segment")?;
            if count == 0 {
                return Err("a segment is empty".to_owned());
            }
            let mut systems = Vec::with_capacity(usize::from(count));
            for _ in 0..count {
                let system = match form {
                    Form::Short => take_u16(octets).map(u32::from),
                    Form::Long | Form::As4 => take_u32(octets),
                };
                systems.push(system.ok_or("a segment is longer than the attribute")?);
            }
            // RFC 7607 §2.
            if systems.contains(&0) {
                return Err("autonomous system 0 is in it".to_owned());
            }
            match kind {
                SET => segments.push(Segment::Set(systems)),
                SEQUENCE => segments.push(Segment::Sequence(systems)),
                _ if form == Form::As4 && CONFEDERATION.contains(&kind) => {}
                // Who is in no confederation takes none of its segments (RFC 5065 §5).
                _ => return Err(format!("a segment has the type {kind}")),
            }
        }
        Ok(Self(segments))
    }

    /// Writes the value of AS_PATH; in two octets AS_TRANS stands for each number that does not fit (RFC 6793 §4.2.2).
    pub(super) fn encode(&self, four_octet_asn: bool, out: &mut Vec<u8>) {
        for segment in &self.0 {
            let (kind, systems) = match segment {
                Segment::Sequence(systems) => (SEQUENCE, systems),
                Segment::Set(systems) => (SET, systems),
            };
            for chunk in systems.chunks(SEGMENT) {
                out.extend([kind, length_u8(chunk.len())]);
                for system in chunk {
                    if four_octet_asn {
                        out.extend(system.to_be_bytes());
                    } else {
                        out.extend(u16::try_from(*system).unwrap_or(AS_TRANS).to_be_bytes());
                    }
                }
            }
        }
    }

    /// Whether two octets are too few for one of its numbers.
    pub(super) fn needs_four_octets(&self) -> bool {
        self.systems().any(|system| u16::try_from(system).is_err())
    }

    /// What an AS_PATH of two-octet numbers and the AS4_PATH that came with it mean together (RFC 6793 §4.2.3).
    #[must_use]
    pub(super) fn merged(self, as4_path: Self) -> Self {
        let Some(surplus) = self.length().checked_sub(as4_path.length()) else {
            return self;
        };
        if surplus == 0 {
            return as4_path;
        }
        let mut merged = self.leading(surplus);
        for segment in as4_path.0 {
            merged.append(segment);
        }
        merged
    }

    /// The first so many of it, as [`AsPath::length`] counts.
    fn leading(self, count: usize) -> Self {
        let mut left = count;
        let mut leading = Self::default();
        for segment in self.0 {
            if left == 0 {
                break;
            }
            match segment {
                Segment::Sequence(mut systems) => {
                    systems.truncate(left);
                    left -= systems.len();
                    leading.0.push(Segment::Sequence(systems));
                }
                Segment::Set(systems) => {
                    left -= 1;
                    leading.0.push(Segment::Set(systems));
                }
            }
        }
        leading
    }

    fn append(&mut self, segment: Segment) {
        match (self.0.last_mut(), segment) {
            (Some(Segment::Sequence(last)), Segment::Sequence(more))
                if last.len() + more.len() <= SEGMENT =>
            {
                last.extend(more);
            }
            (_, segment) => self.0.push(segment),
        }
    }

    /// How long it is for the choice of the best path: a set counts as one (RFC 4271 §9.1.2.2 a).
    pub fn length(&self) -> usize {
        let lengths = self.0.iter().map(|segment| match segment {
            Segment::Sequence(systems) => systems.len(),
            Segment::Set(_) => 1,
        });
        lengths.sum()
    }

    /// Every number in it, in the order of the octets.
    pub fn systems(&self) -> impl Iterator<Item = u32> {
        let parts = self.0.iter().flat_map(|segment| match segment {
            Segment::Sequence(systems) | Segment::Set(systems) => systems,
        });
        parts.copied()
    }

    /// The autonomous system that the route came from last, if a sequence begins the path.
    pub fn first(&self) -> Option<u32> {
        match self.0.first()? {
            Segment::Sequence(systems) => systems.first().copied(),
            Segment::Set(_) => None,
        }
    }

    /// Whether it was aggregated with others.
    pub fn has_set(&self) -> bool {
        self.0.iter().any(|segment| matches!(segment, Segment::Set(_)))
    }

    /// Whether the route passed this autonomous system.
    pub fn contains(&self, asn: u32) -> bool {
        self.systems().any(|system| system == asn)
    }

    /// Puts an autonomous system before it, so often (RFC 4271 §5.1.2).
    pub fn prepend(&mut self, asn: u32, times: usize) {
        let mut left = times;
        if let Some(Segment::Sequence(systems)) = self.0.first_mut() {
            let here = left.min(SEGMENT.saturating_sub(systems.len()));
            systems.splice(0..0, std::iter::repeat_n(asn, here));
            left -= here;
        }
        while left > 0 {
            let here = left.min(SEGMENT);
            self.0.insert(0, Segment::Sequence(vec![asn; here]));
            left -= here;
        }
    }
}

/// `64512 64513 {64514 64515}`; nothing for an empty path.
impl fmt::Display for AsPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, segment) in self.0.iter().enumerate() {
            if place > 0 {
                f.write_str(" ")?;
            }
            match segment {
                Segment::Sequence(systems) => write_systems(f, systems)?,
                Segment::Set(systems) => {
                    f.write_str("{")?;
                    write_systems(f, systems)?;
                    f.write_str("}")?;
                }
            }
        }
        Ok(())
    }
}

fn write_systems(f: &mut fmt::Formatter<'_>, systems: &[u32]) -> fmt::Result {
    for (place, system) in systems.iter().enumerate() {
        if place > 0 {
            f.write_str(" ")?;
        }
        write!(f, "{system}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sequence(systems: impl IntoIterator<Item = u32>) -> Segment {
        Segment::Sequence(systems.into_iter().collect())
    }

    /// A set counts as one, whatever is in it (RFC 4271 §9.1.2.2 a).
    #[test]
    fn a_set_counts_once() {
        let path = AsPath(vec![sequence([1, 2]), Segment::Set(vec![3, 4, 5])]);
        assert_eq!(path.length(), 3);
        assert!(path.contains(4) && !path.contains(6));
        assert_eq!(path.to_string(), "1 2 {3 4 5}");
    }

    /// A full segment, and a set, get a segment before them (RFC 4271 §5.1.2 b).
    #[test]
    fn prepending_begins_a_segment_where_none_has_room() {
        let mut path = AsPath(vec![sequence([9; 254])]);
        path.prepend(1, 3);
        let full = [1].into_iter().chain([9; 254]);
        assert_eq!(path.0, [sequence([1, 1]), sequence(full)]);
        let mut path = AsPath(vec![Segment::Set(vec![3])]);
        path.prepend(1, 2);
        assert_eq!(path.0, [sequence([1, 1]), Segment::Set(vec![3])]);
        assert_eq!(path.first(), Some(1));
    }

    /// RFC 6793 §4.2.3: what the old speakers put before the path is kept, the rest is that of AS4_PATH.
    #[test]
    fn as4_path_replaces_the_end_of_the_path() {
        let path = AsPath(vec![sequence([1, 2, 23_456, 23_456])]);
        let merged = path.merged(AsPath(vec![sequence([70_000, 70_001])]));
        assert_eq!(merged, AsPath(vec![sequence([1, 2, 70_000, 70_001])]));
    }

    /// RFC 6793 §4.2.3: sets count as one, in both.
    #[test]
    fn sets_are_merged_as_one_system() {
        let path = AsPath(vec![sequence([1]), Segment::Set(vec![2, 3]), sequence([23_456])]);
        let merged = path.clone().merged(AsPath(vec![sequence([70_000])]));
        assert_eq!(
            merged,
            AsPath(vec![sequence([1]), Segment::Set(vec![2, 3]), sequence([70_000])])
        );
        let longer = AsPath(vec![Segment::Set(vec![70_000, 3]), sequence([70_000])]);
        assert_eq!(
            path.merged(longer.clone()),
            AsPath([vec![sequence([1])], longer.0].concat())
        );
    }

    /// RFC 6793 §4.2.3: someone on the way took systems out of the path, so AS4_PATH is of another path.
    #[test]
    fn a_longer_as4_path_is_ignored() {
        let path = AsPath(vec![sequence([1, 23_456])]);
        let longer = AsPath(vec![sequence([70_000, 70_001, 70_002])]);
        assert_eq!(path.clone().merged(longer), path);
    }
}
