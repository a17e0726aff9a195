use std::time::{Duration, SystemTime};

use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use secrecy::SecretSlice;
use serde::{Deserialize, Serialize};

use super::audit::{Audit, Author};
use super::boot::Deadline;
use super::error::StoreError;
use super::exchange;
use super::open::Store;
use super::schema::{Standing, Trial};
use super::seal::checksum;
use crate::clock;

/// So many generations are kept beside those that count, and so many octets of their documents.
const MOST: u32 = 200;
const MOST_OCTETS: u32 = 64 << 20;

/// A document that was accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Generation {
    /// Counted from 1.
    pub(crate) number: u32,
    /// When, in seconds since 1970.
    pub(crate) at: i64,
    /// Who committed it.
    pub(crate) author: String,
    /// By what: `seed`, `api`, `rollback`.
    pub(crate) source: String,
    /// What its author said.
    pub(crate) comment: String,
    /// JSON in canonical form.
    pub(crate) document: String,
}

/// A generation without its document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Head {
    /// Which.
    pub(crate) number: u32,
    /// When, RFC 3339.
    pub(crate) at: String,
    /// Who committed it.
    pub(crate) author: String,
    /// By what.
    pub(crate) source: String,
    /// What its author said.
    pub(crate) comment: String,
}

/// A generation to be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct New<'a> {
    pub(crate) author: &'a Author,
    pub(crate) source: &'static str,
    pub(crate) comment: &'a str,
    /// JSON in canonical form.
    pub(crate) document: &'a str,
}

const COLUMNS: &str = "number, at, author, source, comment, document, checksum";

impl Generation {
    /// One generation, if it is kept.
    pub(super) fn read(database: &Connection, number: u32) -> Result<Option<Self>, StoreError> {
        let query = format!("SELECT {COLUMNS} FROM generations WHERE number = ?1");
        let found = database
            .query_row(&query, [number], |row| {
                let document: Vec<u8> = row.get(5)?;
                Ok((head(row)?, row.get(1)?, document, row.get::<_, Vec<u8>>(6)?))
            })
            .optional()?;
        let Some((head, at, document, written)) = found else {
            return Ok(None);
        };
        let damaged = || StoreError::Damaged(format!("generation {number} is not what was written"));
        let generation = Self {
            number,
            at,
            author: head.author,
            source: head.source,
            comment: head.comment,
            document: String::from_utf8(document).map_err(|_| damaged())?,
        };
        if generation.checksum() == written {
            Ok(Some(generation))
        } else {
            Err(damaged())
        }
    }

    pub(super) fn write(&self, transaction: &Transaction<'_>) -> rusqlite::Result<()> {
        transaction.execute(
            &format!("INSERT INTO generations ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)"),
            params![
                self.number,
                self.at,
                self.author,
                self.source,
                self.comment,
                self.document.as_bytes(),
                self.checksum()
            ],
        )?;
        Ok(())
    }

    /// The same without the document.
    pub(crate) fn head(&self) -> Head {
        Head {
            number: self.number,
            at: words(self.at),
            author: self.author.clone(),
            source: self.source.clone(),
            comment: self.comment.clone(),
        }
    }

    fn checksum(&self) -> Vec<u8> {
        checksum(&[
            &self.number.to_be_bytes(),
            &self.at.to_be_bytes(),
            self.author.as_bytes(),
            self.source.as_bytes(),
            self.comment.as_bytes(),
            self.document.as_bytes(),
        ])
    }
}

impl Store {
    /// Adds a generation, and the secrets that come with it: the start-up one, or one on trial until its deadline. Any
    /// other trial is over.
    pub(crate) fn commit(
        &mut self,
        new: New<'_>,
        secrets: &[(String, SecretSlice<u8>)],
        deadline: Option<Deadline>,
    ) -> Result<u32, StoreError> {
        let sealed = self.sealed(secrets, new.author)?;
        let what = match &deadline {
            None => format!("commit by {}", new.source),
            Some(_) => format!("commit on trial by {}", new.source),
        };
        self.write(&Audit::done(new.author, what), |transaction, standing| {
            let number = insert(transaction, new)?;
            exchange::replace(transaction, &sealed)?;
            match deadline {
                Some(deadline) => {
                    standing.trial = Some(Trial {
                        generation: number,
                        deadline,
                    });
                }
                None => {
                    standing.revision += 1;
                    (standing.startup, standing.trial) = (number, None);
                }
            }
            forget(transaction, standing)?;
            Ok(number)
        })
    }

    /// What is on trial is the start-up generation from now on.
    pub(crate) fn confirm(&mut self, who: &Author) -> Result<(), StoreError> {
        let what = format!("confirm generation {}", self.standing().current());
        self.write(&Audit::done(who, what), |transaction, standing| {
            exchange::forget(transaction)?;
            standing.revision += 1;
            standing.startup = standing.current();
            standing.trial = None;
            Ok(())
        })
    }

    /// The trial is over: the start-up generation is the one that runs.
    pub(crate) fn return_to_startup(&mut self, who: &Author, why: &str) -> Result<(), StoreError> {
        let standing = self.standing();
        let what = format!(
            "return from generation {} to {}: {why}",
            standing.current(),
            standing.startup
        );
        self.write(&Audit::done(who, what), |transaction, standing| {
            exchange::restore(transaction)?;
            standing.trial = None;
            Ok(())
        })
    }

    /// A generation that could not be applied was never there.
    pub(crate) fn withdraw(
        &mut self,
        number: u32,
        before: &Standing,
        who: &Author,
    ) -> Result<(), StoreError> {
        let audit = Audit {
            author: who.clone(),
            what: format!("withdraw generation {number}"),
            result: "not-applied".to_owned(),
        };
        self.write(&audit, |transaction, standing| {
            transaction.execute("DELETE FROM generations WHERE number = ?1", [number])?;
            exchange::restore(transaction)?;
            standing.revision += 1;
            (standing.startup, standing.trial) = (before.startup, before.trial.clone());
            Ok(())
        })
    }

    /// One generation, if it is kept.
    pub(crate) fn generation(&self, number: u32) -> Result<Option<Generation>, StoreError> {
        Generation::read(self.database(), number)
    }

    /// Every generation that is kept, newest first.
    pub(crate) fn generations(&self) -> Result<Vec<Head>, StoreError> {
        let query = "SELECT number, at, author, source, comment FROM generations ORDER BY number DESC";
        let mut statement = self.database().prepare(query)?;
        let heads = statement.query_map([], head)?;
        Ok(heads.collect::<Result<_, _>>()?)
    }
}

/// Adds a row with the next number.
pub(super) fn insert(transaction: &Transaction<'_>, new: New<'_>) -> Result<u32, StoreError> {
    let next = "SELECT COALESCE(MAX(number), 0) + 1 FROM generations";
    let number = transaction.query_row(next, [], |row| row.get(0))?;
    let generation = Generation {
        number,
        at: seconds_now(),
        author: new.author.who.clone(),
        source: new.source.to_owned(),
        comment: new.comment.to_owned(),
        document: new.document.to_owned(),
    };
    generation.write(transaction)?;
    Ok(number)
}

/// Forgets the oldest, but for those that count.
fn forget(transaction: &Transaction<'_>, standing: &Standing) -> rusqlite::Result<()> {
    let sizes = "SELECT number, SUM(LENGTH(document)) OVER (ORDER BY number DESC) AS octets FROM generations";
    let query = format!(
        "DELETE FROM generations WHERE number NOT IN (?1, ?2) AND
         (number <= (SELECT MAX(number) FROM generations) - ?3
          OR number IN (SELECT number FROM ({sizes}) WHERE octets > ?4))"
    );
    let kept = (standing.startup, standing.current());
    transaction.execute(&query, params![kept.0, kept.1, MOST, MOST_OCTETS])?;
    Ok(())
}

fn head(row: &Row<'_>) -> rusqlite::Result<Head> {
    Ok(Head {
        number: row.get(0)?,
        at: words(row.get(1)?),
        author: row.get(2)?,
        source: row.get(3)?,
        comment: row.get(4)?,
    })
}

/// Seconds since 1970 in words.
pub(super) fn words(at: i64) -> String {
    let since = Duration::from_secs(u64::try_from(at).unwrap_or_default());
    clock::words(SystemTime::UNIX_EPOCH + since)
}

/// Now, in seconds since 1970.
pub(crate) fn seconds_now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    i64::try_from(since.unwrap_or_default().as_secs()).unwrap_or(i64::MAX)
}
