use rusqlite::{Transaction, params};

use super::generation::seconds_now;

/// So many entries are kept.
const MOST: u32 = 10_000;

/// One line of the audit log: who did what, or tried to, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Audit {
    /// Who: `uid 0` on the control socket.
    pub(crate) who: String,
    /// What, in a few words.
    pub(crate) what: String,
    /// `done`, or the reason word of the refusal.
    pub(crate) result: String,
}

impl Audit {
    /// Something that was done.
    pub(crate) fn done(who: &str, what: impl Into<String>) -> Self {
        Self {
            who: who.to_owned(),
            what: what.into(),
            result: "done".to_owned(),
        }
    }

    pub(super) fn write(&self, transaction: &Transaction<'_>) -> rusqlite::Result<()> {
        transaction.execute(
            "INSERT INTO audit (at, who, what, result) VALUES (?1, ?2, ?3, ?4)",
            params![seconds_now(), self.who, self.what, self.result],
        )?;
        transaction.execute(
            "DELETE FROM audit WHERE id <= (SELECT MAX(id) FROM audit) - ?1",
            [MOST],
        )?;
        Ok(())
    }
}
