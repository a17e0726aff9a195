use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::{Connection, OpenFlags, params};
use tracing::warn;

use super::event::Event;
use super::ring::KEPT;

/// Its name in the state directory.
const FILE: &str = "events.db";

/// Events on the disk: in a database of their own, so that what happens often never holds up, and can never damage, what
/// must not be lost.
#[derive(Debug)]
pub(crate) struct Storage {
    database: Connection,
}

impl Storage {
    /// That of a state directory; one that is damaged is set aside.
    pub(crate) fn open(directory: &Path) -> Option<Self> {
        let path = directory.join(FILE);
        let opened = open(&path).or_else(|error| {
            let aside = path.with_extension("db.damaged");
            warn!(%error, aside = %aside.display(), "earlier events cannot be read, and are set aside");
            for suffix in ["", "-wal"] {
                let of = |path: &Path| PathBuf::from(format!("{}{suffix}", path.display()));
                // What is not there need not go.
                let _there = fs::rename(of(&path), of(&aside));
            }
            open(&path)
        });
        match opened {
            Ok(database) => Some(Self { database }),
            Err(error) => {
                warn!(%error, "events are not saved");
                None
            }
        }
    }

    /// Those that were saved last, oldest first.
    pub(super) fn events(&self) -> Vec<Event> {
        let read = || -> rusqlite::Result<Vec<Event>> {
            let query = "SELECT id, at, connection, told FROM events ORDER BY id DESC LIMIT ?1";
            let mut statement = self.database.prepare(query)?;
            let events = statement.query_map([i64::try_from(KEPT).unwrap_or(i64::MAX)], |row| {
                Ok(Event {
                    id: u64::try_from(row.get::<_, i64>(0)?).unwrap_or_default(),
                    at: row.get(1)?,
                    connection: row.get(2)?,
                    text: row.get(3)?,
                })
            })?;
            events.collect()
        };
        let mut events = read().unwrap_or_else(|error| {
            warn!(%error, "earlier events cannot be read");
            Vec::new()
        });
        events.reverse();
        events
    }

    /// Adds these, and forgets the oldest.
    pub(super) fn save(&mut self, events: &[Arc<Event>]) -> rusqlite::Result<()> {
        let transaction = self.database.transaction()?;
        {
            let insert = "INSERT OR REPLACE INTO events (id, at, connection, told) VALUES (?1, ?2, ?3, ?4)";
            let mut insert = transaction.prepare(insert)?;
            for event in events {
                let id = i64::try_from(event.id).unwrap_or(i64::MAX);
                insert.execute(params![id, event.at, event.connection, event.text])?;
            }
        }
        let forget =
            "DELETE FROM events WHERE id <= (SELECT id FROM events ORDER BY id DESC LIMIT 1 OFFSET ?1)";
        transaction.execute(forget, [i64::try_from(KEPT).unwrap_or(i64::MAX)])?;
        transaction.commit()
    }
}

/// With WAL and `synchronous=NORMAL` a power cut takes the last events and leaves the others whole; only when the log is
/// folded into the database does anything wait for the disk.
fn open(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::default() | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let database = Connection::open_with_flags(path, flags)?;
    database.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    database.pragma_update(None, "journal_mode", "WAL")?;
    database.pragma_update(None, "synchronous", "NORMAL")?;
    database.execute_batch(
        "CREATE TABLE IF NOT EXISTS events (id INTEGER PRIMARY KEY, at INTEGER NOT NULL, connection TEXT,
             told TEXT NOT NULL) STRICT;",
    )?;
    let found: String = database.pragma_query_value(None, "quick_check", |row| row.get(0))?;
    if found == "ok" {
        Ok(database)
    } else {
        Err(rusqlite::Error::InvalidColumnName(found))
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::super::news::News;
    use super::super::ring::Ring;
    use super::*;

    #[test]
    fn damaged_events_are_set_aside_and_the_oldest_go() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(FILE), vec![7; 8192]).unwrap();
        let mut storage = Storage::open(folder.path()).unwrap();
        assert!(storage.events().is_empty());
        assert!(folder.path().join("events.db.damaged").exists());
        let mut ring = Ring::new(Vec::new(), SystemTime::now());
        for _ in 0..3 {
            let events: Vec<_> = (0..KEPT / 2).map(|_| ring.add(News::new("up"))).collect();
            storage.save(&events).unwrap();
        }
        let last = ring.add(News::new("down"));
        storage.save(std::slice::from_ref(&last)).unwrap();
        let count = "SELECT COUNT(*) FROM events";
        let count: i64 = storage.database.query_row(count, [], |row| row.get(0)).unwrap();
        assert_eq!(usize::try_from(count).unwrap(), KEPT);
        assert_eq!(storage.events().last(), Some(last.as_ref()));
    }
}
