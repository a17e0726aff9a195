use rusqlite::{Transaction, params};

use super::generation::seconds_now;

/// So many entries are kept of what was done, and so many beside them of what was refused: whoever is refused all the
/// time pushes out nothing else.
const MOST_DONE: u32 = 10_000;
const MOST_REFUSED: u32 = 2_000;

/// Who does something, and from where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Author {
    /// `alice`, `token backup of alice`, `uid 0`.
    pub(crate) who: String,
    /// An address, `socket`, or nothing for what the daemon does by itself.
    pub(crate) source: String,
}

/// One line of the audit log: who did what, or tried to, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Audit {
    /// Who, and from where.
    pub(crate) author: Author,
    /// What, in a few words.
    pub(crate) what: String,
    /// `done`, or the reason word of the refusal.
    pub(crate) result: String,
}

impl Author {
    /// The daemon itself.
    pub(crate) fn system() -> Self {
        Self {
            who: "system".to_owned(),
            source: String::new(),
        }
    }
}

impl Audit {
    /// Something that was done.
    pub(crate) fn done(author: &Author, what: impl Into<String>) -> Self {
        Self {
            author: author.clone(),
            what: what.into(),
            result: "done".to_owned(),
        }
    }

    pub(super) fn write(&self, transaction: &Transaction<'_>) -> rusqlite::Result<()> {
        let refused = self.result != "done";
        transaction.execute(
            "INSERT INTO audit (at, who, source, what, result, refused) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![
                seconds_now(),
                self.author.who,
                self.author.source,
                self.what,
                self.result,
                refused
            ],
        )?;
        let most = if refused { MOST_REFUSED } else { MOST_DONE };
        transaction.execute(
            "DELETE FROM audit WHERE refused = ?1 AND id <=
             (SELECT id FROM audit WHERE refused = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
            params![refused, most],
        )?;
        Ok(())
    }
}
