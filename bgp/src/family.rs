use std::fmt;

use ipnet::IpNet;

/// What kind of prefixes routes are to (RFC 4760); unicast, both of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// AFI 1, SAFI 1.
    Ipv4,
    /// AFI 2, SAFI 1.
    Ipv6,
}

impl Family {
    /// Both, in the order of their numbers.
    pub const ALL: [Self; 2] = [Self::Ipv4, Self::Ipv6];

    /// The address family identifier.
    pub fn afi(self) -> u16 {
        match self {
            Self::Ipv4 => 1,
            Self::Ipv6 => 2,
        }
    }

    /// The family of an AFI and a SAFI, if it is one that we speak.
    pub fn of(afi: u16, safi: u8) -> Option<Self> {
        match (afi, safi) {
            (1, 1) => Some(Self::Ipv4),
            (2, 1) => Some(Self::Ipv6),
            _ => None,
        }
    }

    /// The family of a prefix.
    pub fn of_prefix(prefix: &IpNet) -> Self {
        match prefix {
            IpNet::V4(_) => Self::Ipv4,
            IpNet::V6(_) => Self::Ipv6,
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
        })
    }
}

/// A set of families.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Families(u8);

impl Families {
    /// None.
    pub const NONE: Self = Self(0);

    /// Both.
    pub const ALL: Self = Self(3);

    /// Whether it is one of them.
    pub fn contains(self, family: Family) -> bool {
        self.0 & Self::bit(family) != 0
    }

    /// These and it.
    #[must_use]
    pub const fn with(self, family: Family) -> Self {
        Self(self.0 | Self::bit(family))
    }

    /// These without it.
    #[must_use]
    pub const fn without(self, family: Family) -> Self {
        Self(self.0 & !Self::bit(family))
    }

    /// Those that are in both.
    #[must_use]
    pub fn common(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Each of them.
    pub fn iter(self) -> impl Iterator<Item = Family> {
        Family::ALL
            .into_iter()
            .filter(move |family| self.contains(*family))
    }

    const fn bit(family: Family) -> u8 {
        match family {
            Family::Ipv4 => 1,
            Family::Ipv6 => 2,
        }
    }
}

impl FromIterator<Family> for Families {
    fn from_iter<I: IntoIterator<Item = Family>>(families: I) -> Self {
        families.into_iter().fold(Self::NONE, Self::with)
    }
}
