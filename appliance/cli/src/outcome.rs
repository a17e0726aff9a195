use std::fmt::Write;
use std::process::ExitCode;

/// What the exit status tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Done = 0,
    NotUp = 1,
    Problems = 2,
    Unreachable = 3,
    Conflict = 4,
    NotAllowed = 5,
    GivenUp = 6,
}

impl Outcome {
    const ALL: [Self; 7] = [
        Self::Done,
        Self::NotUp,
        Self::Problems,
        Self::Unreachable,
        Self::Conflict,
        Self::NotAllowed,
        Self::GivenUp,
    ];

    fn meaning(self) -> &'static str {
        match self {
            Self::Done => "done; of a status: everything shown is up",
            Self::NotUp => "something shown is not up, or the kernel refuses something",
            Self::Problems => "wrong usage, an unknown name, or a document with problems: each is told",
            Self::Unreachable => {
                "causewayd cannot be reached, is not the one expected, fails, or its answer is not understood"
            }
            Self::Conflict => {
                "another generation runs than the one named, or it cannot be done as things stand"
            }
            Self::NotAllowed => {
                "no token, one that has expired or was revoked, or a role that may not do this"
            }
            Self::GivenUp => "given up when asked: nothing was changed",
        }
    }
}

/// The exit statuses, for `--help`.
pub(crate) fn table() -> String {
    let mut text = "Exit status:\n".to_owned();
    for outcome in Outcome::ALL {
        let _ = writeln!(text, "  {}  {}", outcome as u8, outcome.meaning());
    }
    text
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        Self::from(outcome as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_readme_has_the_same_table() {
        let readme = include_str!("../README.md");
        for outcome in Outcome::ALL {
            let line = format!("| {} | {} |", outcome as u8, outcome.meaning());
            assert!(readme.lines().any(|other| other == line), "{line}");
        }
    }
}
