use rusqlite::params;

use super::error::StoreError;
use super::generation::words;
use super::open::Store;

/// Which lines of the audit log somebody wants.
#[derive(Debug, Clone, Default)]
pub(crate) struct AuditQuery {
    /// By this author only.
    pub(crate) who: Option<String>,
    /// With this result only: `done`, or the reason word of a refusal.
    pub(crate) result: Option<String>,
    /// Older than this line.
    pub(crate) before: Option<i64>,
    /// At most so many.
    pub(crate) limit: u32,
}

/// One line of the audit log, as it is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AuditLine {
    /// Counted upwards.
    pub(crate) id: i64,
    /// When, RFC 3339.
    pub(crate) at: String,
    /// Who.
    pub(crate) who: String,
    /// From where: an address, `socket`, or nothing for the daemon itself.
    pub(crate) source: String,
    /// What.
    pub(crate) what: String,
    /// What came of it.
    pub(crate) result: String,
}

/// Some lines, newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct AuditPage {
    pub(crate) lines: Vec<AuditLine>,
    /// There are older ones.
    pub(crate) more: bool,
}

impl Store {
    /// Lines of the audit log, newest first.
    pub(crate) fn audit_log(&self, query: &AuditQuery) -> Result<AuditPage, StoreError> {
        let text = "SELECT id, at, who, source, what, result FROM audit
            WHERE (?1 IS NULL OR who = ?1) AND (?2 IS NULL OR result = ?2) AND (?3 IS NULL OR id < ?3)
            ORDER BY id DESC LIMIT ?4";
        let mut statement = self.database().prepare(text)?;
        // One more than is wanted shows whether there are more.
        let limit = query.limit.saturating_add(1);
        let rows = statement.query_map(params![query.who, query.result, query.before, limit], |row| {
            Ok(AuditLine {
                id: row.get(0)?,
                at: words(row.get(1)?),
                who: row.get(2)?,
                source: row.get(3)?,
                what: row.get(4)?,
                result: row.get(5)?,
            })
        })?;
        let mut lines = rows.collect::<Result<Vec<_>, _>>()?;
        let wanted = usize::try_from(query.limit).unwrap_or(usize::MAX);
        let more = lines.len() > wanted;
        lines.truncate(wanted);
        Ok(AuditPage { lines, more })
    }
}
