//! The dimensions of the matrix, and which cells are tried.

use std::fmt::{self, Display};

use system_tests::matrix::cover;
use system_tests::peer::tunnel::Datapath;

/// Who stands at the other site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Other {
    StrongSwan,
    Causeway,
}

/// Which algorithms our gateway offers and takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Profile {
    Modern,
    AzureDefault,
    Custom,
}

/// Who may start, as our gateway is told; the peer is told what fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Default,
    InitiatorOnly,
    ResponderOnly,
}

/// What may pass the tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Selectors {
    /// Any to any.
    RouteBased,
    /// Each of two networks with each of two.
    PolicyBased,
    /// Two lines: one with the tunnel, one on demand.
    Custom,
}

/// What is between the gateways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Link {
    /// A cable.
    Cable,
    /// A router that hides who begins behind its own address.
    Nat,
    /// A cable that loses one packet of twenty, in each direction.
    Loss,
}

/// Who is started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Restart {
    /// The peer, after telling us.
    PeerStops,
    /// The peer, without a word, as when its power fails.
    PeerDies,
    /// We, after SIGTERM.
    WeStop,
    /// We, after SIGKILL.
    WeDie,
}

/// One combination.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cell {
    pub(crate) other: Other,
    pub(crate) ours: Datapath,
    pub(crate) theirs: Datapath,
    pub(crate) profile: Profile,
    pub(crate) mode: Mode,
    pub(crate) selectors: Selectors,
    pub(crate) link: Link,
    pub(crate) restart: Restart,
}

const PROFILES: [Profile; 3] = [Profile::Modern, Profile::AzureDefault, Profile::Custom];
const MODES: [Mode; 3] = [Mode::Default, Mode::InitiatorOnly, Mode::ResponderOnly];
const SELECTORS: [Selectors; 3] = [Selectors::RouteBased, Selectors::PolicyBased, Selectors::Custom];
const LINKS: [Link; 3] = [Link::Cable, Link::Nat, Link::Loss];
const RESTARTS: [Restart; 4] = [
    Restart::PeerStops,
    Restart::PeerDies,
    Restart::WeStop,
    Restart::WeDie,
];

/// The cells of a run over a datapath: a set that covers all pairs of values, or in full every combination.
pub(crate) fn cells(datapath: Datapath, full: bool) -> Vec<Cell> {
    let same = [(datapath, datapath)];
    let mixed = [
        (Datapath::Kernel, Datapath::Kernel),
        (Datapath::Kernel, Datapath::User),
        (Datapath::User, Datapath::Kernel),
    ];
    let between_causeways = match datapath {
        Datapath::User => &same[..],
        Datapath::Kernel => &mixed,
    };
    let mut cells = chosen(Other::StrongSwan, &same, &SELECTORS, full);
    cells.extend(chosen(Other::Causeway, between_causeways, &SELECTORS, full));
    cells
}

fn chosen(
    other: Other,
    datapaths: &[(Datapath, Datapath)],
    selectors: &[Selectors],
    full: bool,
) -> Vec<Cell> {
    let sizes = [
        datapaths.len(),
        PROFILES.len(),
        MODES.len(),
        selectors.len(),
        LINKS.len(),
        RESTARTS.len(),
    ];
    let combinations = if full {
        cover::product(&sizes)
    } else {
        cover::pairs(&sizes)
    };
    let cell = |combination: &Vec<usize>| {
        let [datapath, profile, mode, kind, link, restart] = combination.as_slice() else {
            return None;
        };
        let (ours, theirs) = *datapaths.get(*datapath)?;
        Some(Cell {
            other,
            ours,
            theirs,
            profile: *PROFILES.get(*profile)?,
            mode: *MODES.get(*mode)?,
            selectors: *selectors.get(*kind)?,
            link: *LINKS.get(*link)?,
            restart: *RESTARTS.get(*restart)?,
        })
    };
    combinations.iter().filter_map(cell).collect()
}

impl Cell {
    /// Its values in the order of the table's columns.
    pub(crate) fn varied(&self) -> Vec<String> {
        let datapaths = format!("{}-{}", self.ours, self.theirs);
        let values: [&dyn Display; 7] = [
            &self.other,
            &datapaths,
            &self.profile,
            &self.mode,
            &self.selectors,
            &self.link,
            &self.restart,
        ];
        values.map(ToString::to_string).to_vec()
    }
}

impl Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.varied().join(","))
    }
}

impl Display for Other {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::StrongSwan => "strongSwan",
            Self::Causeway => "Causeway",
        })
    }
}

impl Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Modern => "modern",
            Self::AzureDefault => "azure-default",
            Self::Custom => "custom",
        })
    }
}

impl Mode {
    /// In the words of Causeway's document.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Default => "Default",
            Self::InitiatorOnly => "InitiatorOnly",
            Self::ResponderOnly => "ResponderOnly",
        }
    }

    /// What the peer is told.
    pub(crate) fn mirrored(self) -> Self {
        match self {
            Self::Default => Self::Default,
            Self::InitiatorOnly => Self::ResponderOnly,
            Self::ResponderOnly => Self::InitiatorOnly,
        }
    }
}

impl Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl Display for Selectors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RouteBased => "route-based",
            Self::PolicyBased => "policy-based",
            Self::Custom => "on demand",
        })
    }
}

impl Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cable => "cable",
            Self::Nat => "NAT",
            Self::Loss => "5 % loss",
        })
    }
}

impl Display for Restart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PeerStops => "peer stops",
            Self::PeerDies => "peer dies",
            Self::WeStop => "we stop",
            Self::WeDie => "we die",
        })
    }
}
