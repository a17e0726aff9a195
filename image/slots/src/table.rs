use crate::tree::Root;

/// Starts that an update has to show that it is good.
pub const TRIES: u8 = 2;

/// One of the two places for a system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slot {
    /// The first.
    A,
    /// The second.
    B,
}

impl Slot {
    /// The other place.
    pub fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }

    /// Its name on the disk and for the boot loader.
    pub fn letter(self) -> &'static str {
        match self {
            Self::A => "a",
            Self::B => "b",
        }
    }

    /// The slot with this name.
    pub fn named(letter: &str) -> Option<Self> {
        [Self::A, Self::B]
            .into_iter()
            .find(|slot| slot.letter() == letter)
    }
}

/// A system that was written whole and read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// As its makers call it: letters, digits and `.+~-`, [`Content::LONGEST_VERSION`] at most.
    pub version: String,
    /// Seconds since 1970 of its sources: what decides which of two is older.
    pub build: u64,
    /// Blocks of data, before those of hashes.
    pub blocks: u64,
    /// What its blocks are checked by.
    pub root: Root,
}

impl Content {
    /// The longest name of a version, in octets.
    pub const LONGEST_VERSION: usize = 32;

    /// Whether the boot loader can keep the name of this version.
    pub fn is_version(text: &str) -> bool {
        let fits = (1..=Self::LONGEST_VERSION).contains(&text.len());
        fits && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b".+~-".contains(&byte))
    }
}

/// What is in the slots, which one is known to work, and whether the other is on trial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// The slot that is known to work.
    pub good: Slot,
    /// Starts that the other slot still has to show that it is good; 0 once it failed, none when it is not on trial.
    pub tries: Option<u8>,
    /// What is in the first slot; none while it is being written.
    pub a: Option<Content>,
    /// What is in the second slot.
    pub b: Option<Content>,
}

/// A step of an update.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transition {
    /// What is in the idle slot no longer counts: it is about to be written.
    Writing,
    /// The idle slot was written, flushed, read back and found to be this.
    Written(Content),
    /// What is in the idle slot is to be tried at the next start.
    Try,
    /// The slot on trial gets no further start.
    GivenUp,
    /// This slot runs, and works.
    Good(Slot),
    /// Somebody has heard that the slot on trial failed.
    Forgotten,
}

impl Table {
    /// What is in a slot.
    pub fn content(&self, slot: Slot) -> Option<&Content> {
        match slot {
            Slot::A => self.a.as_ref(),
            Slot::B => self.b.as_ref(),
        }
    }

    /// The table after a step of an update; as it was where the step makes no sense.
    #[must_use]
    pub fn after(&self, step: Transition) -> Self {
        let idle = self.good.other();
        match step {
            Transition::Writing => self.with(None, None),
            Transition::Written(content) => self.with(Some(content), None),
            Transition::Try if self.content(idle).is_some() => Self {
                tries: Some(TRIES),
                ..self.clone()
            },
            Transition::GivenUp => Self {
                tries: self.tries.map(|_| 0),
                ..self.clone()
            },
            Transition::Good(slot) if slot == idle && self.content(idle).is_some() => Self {
                good: idle,
                tries: None,
                ..self.clone()
            },
            Transition::Try | Transition::Good(_) => self.clone(),
            Transition::Forgotten => Self {
                tries: None,
                ..self.clone()
            },
        }
    }

    fn with(&self, content: Option<Content>, tries: Option<u8>) -> Self {
        let (a, b) = match self.good {
            Slot::A => (self.a.clone(), content),
            Slot::B => (content, self.b.clone()),
        };
        let good = self.good;
        Self { good, tries, a, b }
    }
}
