use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

use super::boot::Deadline;
use super::error::StoreError;
use super::generation::Generation;
use super::seal::checksum;
use super::{password, secret, token};

const VERSION: u32 = 2;

const TABLES: &str = "
    CREATE TABLE generations (number INTEGER PRIMARY KEY, at INTEGER NOT NULL, author TEXT NOT NULL,
        source TEXT NOT NULL, comment TEXT NOT NULL, document BLOB NOT NULL, checksum BLOB NOT NULL) STRICT;
    CREATE TABLE standing (only INTEGER PRIMARY KEY CHECK (only = 1), revision INTEGER NOT NULL,
        startup INTEGER NOT NULL, trial INTEGER, boot TEXT, deadline_ms INTEGER, checksum BLOB NOT NULL) STRICT;
    CREATE TABLE secrets (name TEXT PRIMARY KEY, version INTEGER NOT NULL, at INTEGER NOT NULL,
        author TEXT NOT NULL, fingerprint TEXT NOT NULL, sealed BLOB NOT NULL, checksum BLOB NOT NULL) STRICT;
    CREATE TABLE audit (id INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, who TEXT NOT NULL,
        what TEXT NOT NULL, result TEXT NOT NULL) STRICT;";

/// What version 2 has besides: who may come in, and from where something was done.
const ACCESS: &str = "
    CREATE TABLE passwords (user TEXT PRIMARY KEY, at INTEGER NOT NULL, author TEXT NOT NULL, hash TEXT NOT NULL,
        checksum BLOB NOT NULL) STRICT;
    CREATE TABLE tokens (name TEXT PRIMARY KEY, user TEXT NOT NULL, role TEXT NOT NULL, scope TEXT NOT NULL,
        at INTEGER NOT NULL, expires_at INTEGER, hash BLOB NOT NULL, checksum BLOB NOT NULL) STRICT;
    ALTER TABLE audit ADD COLUMN source TEXT NOT NULL DEFAULT '';
    ALTER TABLE audit ADD COLUMN refused INTEGER NOT NULL DEFAULT 0;
    CREATE INDEX audit_refused ON audit (refused, id);";

/// What secrets were before a document that came with others was put on trial; `NULL` where there was none.
const BEFORE: &str = "
    CREATE TABLE IF NOT EXISTS secrets_before (name TEXT PRIMARY KEY, version INTEGER, at INTEGER, author TEXT,
        fingerprint TEXT, sealed BLOB, checksum BLOB) STRICT;";

/// Which generations count.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    /// Counts what changes the start-up generation or a secret: the copy beside the database is as new as this.
    pub(super) revision: u32,
    /// What the next start begins with; 0 for nothing.
    pub(crate) startup: u32,
    /// What runs until it is confirmed, or its time is over.
    pub(crate) trial: Option<Trial>,
}

/// A generation that returns to the start-up one by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trial {
    /// Which.
    pub(crate) generation: u32,
    /// When.
    pub(crate) deadline: Deadline,
}

impl Standing {
    /// The generation that runs.
    pub(crate) fn current(&self) -> u32 {
        self.trial.as_ref().map_or(self.startup, |trial| trial.generation)
    }

    pub(super) fn write(&self, transaction: &Transaction<'_>) -> rusqlite::Result<()> {
        let trial = self.trial.as_ref();
        transaction.execute(
            "INSERT OR REPLACE INTO standing VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6)",
            params![
                self.revision,
                self.startup,
                trial.map(|trial| trial.generation),
                trial.map(|trial| &trial.deadline.boot),
                trial.map(|trial| milliseconds(trial.deadline.at)),
                self.checksum(),
            ],
        )?;
        Ok(())
    }

    fn read(row: &Row<'_>) -> rusqlite::Result<(Self, Vec<u8>)> {
        let trial: (Option<u32>, Option<String>, Option<i64>) = (row.get(2)?, row.get(3)?, row.get(4)?);
        let trial = match trial {
            (Some(generation), Some(boot), Some(at)) => Some(Trial {
                generation,
                deadline: Deadline {
                    boot,
                    at: Duration::from_millis(u64::try_from(at).unwrap_or_default()),
                },
            }),
            _ => None,
        };
        let (revision, startup, checksum) = (row.get(0)?, row.get(1)?, row.get(5)?);
        let standing = Self {
            revision,
            startup,
            trial,
        };
        Ok((standing, checksum))
    }

    fn checksum(&self) -> Vec<u8> {
        let (number, boot, at) = self.trial.as_ref().map_or((0, "", 0), |trial| {
            let deadline = &trial.deadline;
            (
                trial.generation,
                deadline.boot.as_str(),
                milliseconds(deadline.at),
            )
        });
        checksum(&[
            &self.revision.to_be_bytes(),
            &self.startup.to_be_bytes(),
            &number.to_be_bytes(),
            boot.as_bytes(),
            &at.to_be_bytes(),
        ])
    }
}

fn milliseconds(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

/// A new database with nothing in it.
pub(super) fn create(path: &Path) -> Result<(Connection, Standing), StoreError> {
    let mut database = connect(path)?;
    let standing = Standing::default();
    let transaction = database.transaction()?;
    transaction.execute_batch(TABLES)?;
    transaction.execute_batch(ACCESS)?;
    transaction.execute_batch(BEFORE)?;
    standing.write(&transaction)?;
    transaction.pragma_update(None, "user_version", VERSION)?;
    transaction.commit()?;
    Ok((database, standing))
}

/// The database that is there, with all that a start depends on found to be what was written; nothing where its tables
/// were never made.
pub(super) fn open(path: &Path) -> Result<Option<(Connection, Standing)>, StoreError> {
    let mut database = connect(path)?;
    let mut version: u32 = database.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let tables: u32 = database.query_row("SELECT COUNT(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if (version, tables) == (0, 0) {
        return Ok(None);
    }
    if version == 1 {
        let transaction = database.transaction()?;
        transaction.execute_batch(ACCESS)?;
        transaction.pragma_update(None, "user_version", VERSION)?;
        transaction.commit()?;
        version = VERSION;
    }
    if version != VERSION {
        let detail = format!("it has version {version} where this program knows {VERSION}");
        return Err(StoreError::Damaged(detail));
    }
    let found: String = database.pragma_query_value(None, "quick_check", |row| row.get(0))?;
    if found != "ok" {
        return Err(StoreError::Damaged(found));
    }
    let query = "SELECT revision, startup, trial, boot, deadline_ms, checksum FROM standing";
    let standing = database.query_row(query, [], Standing::read).optional()?;
    let (standing, written) = standing.ok_or_else(|| StoreError::Damaged("nothing stands".to_owned()))?;
    if standing.checksum() != written {
        return Err(StoreError::Damaged("which generation counts".to_owned()));
    }
    for number in [standing.startup, standing.current()] {
        if number > 0 && Generation::read(&database, number)?.is_none() {
            return Err(StoreError::Damaged(format!("generation {number} is gone")));
        }
    }
    secret::check_all(&database)?;
    password::all(&database)?;
    token::all(&database)?;
    database.execute_batch(BEFORE)?;
    Ok(Some((database, standing)))
}

/// Nobody else may have it: the state directory is locked. So SQLite needs no shared memory.
fn connect(path: &Path) -> Result<Connection, StoreError> {
    let database = Connection::open(path)?;
    database.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    database.pragma_update(None, "journal_mode", "WAL")?;
    database.pragma_update(None, "synchronous", "FULL")?;
    Ok(database)
}
