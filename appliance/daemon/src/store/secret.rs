use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use secrecy::{ExposeSecret, SecretSlice};
use serde::{Deserialize, Serialize};

use super::audit::{Audit, Author};
use super::error::StoreError;
use super::exchange;
use super::generation::{New, insert, seconds_now, words};
use super::open::Store;
use super::seal::{MachineKey, checksum, same};

/// What is told of a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SecretHead {
    /// Its name.
    pub(crate) name: String,
    /// When it was set, RFC 3339.
    pub(crate) at: String,
    /// Who set it.
    pub(crate) author: String,
    /// Another one for another value; tells nothing else.
    pub(crate) fingerprint: String,
}

/// A secret as it is stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Sealed {
    pub(super) name: String,
    version: u32,
    at: i64,
    author: String,
    fingerprint: String,
    #[serde(with = "super::hexadecimal")]
    sealed: Vec<u8>,
}

const COLUMNS: &str = "name, version, at, author, fingerprint, sealed, checksum";

impl Sealed {
    fn read(row: &Row<'_>) -> rusqlite::Result<(Self, Vec<u8>)> {
        let sealed = Self {
            name: row.get(0)?,
            version: row.get(1)?,
            at: row.get(2)?,
            author: row.get(3)?,
            fingerprint: row.get(4)?,
            sealed: row.get(5)?,
        };
        Ok((sealed, row.get(6)?))
    }

    pub(super) fn write(&self, transaction: &Transaction<'_>) -> rusqlite::Result<()> {
        transaction.execute(
            &format!("INSERT OR REPLACE INTO secrets ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)"),
            params![
                self.name,
                self.version,
                self.at,
                self.author,
                self.fingerprint,
                self.sealed,
                self.checksum()
            ],
        )?;
        Ok(())
    }

    fn checksum(&self) -> Vec<u8> {
        checksum(&[
            self.name.as_bytes(),
            &self.version.to_be_bytes(),
            &self.at.to_be_bytes(),
            self.author.as_bytes(),
            self.fingerprint.as_bytes(),
            &self.sealed,
        ])
    }

    fn checked((sealed, written): (Self, Vec<u8>)) -> Result<Self, StoreError> {
        if sealed.checksum() == written {
            Ok(sealed)
        } else {
            let detail = format!("secret {:?} is not what was written", sealed.name);
            Err(StoreError::Damaged(detail))
        }
    }

    pub(super) fn of(
        key: &MachineKey,
        name: &str,
        version: u32,
        by: (&Author, &[u8]),
    ) -> Result<Self, StoreError> {
        let (author, value) = by;
        Ok(Self {
            name: name.to_owned(),
            version,
            at: seconds_now(),
            author: author.who.clone(),
            fingerprint: key.fingerprint(name, value),
            sealed: key.seal(name, version, value)?,
        })
    }

    fn head(self) -> SecretHead {
        SecretHead {
            name: self.name,
            at: words(self.at),
            author: self.author,
            fingerprint: self.fingerprint,
        }
    }
}

impl Store {
    /// Sets a secret; `false` if it has this value already.
    pub(crate) fn set_secret(
        &mut self,
        name: &str,
        value: &SecretSlice<u8>,
        author: &Author,
    ) -> Result<bool, StoreError> {
        let present = find(self.database(), name)?;
        let version = present.as_ref().map_or(1, |present| present.version + 1);
        let value_of = |sealed: &Sealed| self.key().open_sealed(name, sealed.version, &sealed.sealed);
        if let Some(present) = present.as_ref().and_then(value_of)
            && same(&present, value)
        {
            return Ok(false);
        }
        let sealed = Sealed::of(self.key(), name, version, (author, value.expose_secret()))?;
        let audit = Audit::done(author, format!("set secret {name}"));
        self.write(&audit, |transaction, standing| {
            standing.revision += 1;
            exchange::forget_one(transaction, name)?;
            Ok(sealed.write(transaction)?)
        })?;
        Ok(true)
    }

    /// Removes a secret; `false` if it is not there.
    pub(crate) fn remove_secret(&mut self, name: &str, author: &Author) -> Result<bool, StoreError> {
        if find(self.database(), name)?.is_none() {
            return Ok(false);
        }
        let audit = Audit::done(author, format!("remove secret {name}"));
        self.write(&audit, |transaction, standing| {
            standing.revision += 1;
            exchange::forget_one(transaction, name)?;
            transaction.execute("DELETE FROM secrets WHERE name = ?1", [name])?;
            Ok(true)
        })
    }

    /// The first generation and its secrets, together.
    pub(crate) fn import(
        &mut self,
        new: New<'_>,
        secrets: &[(String, SecretSlice<u8>)],
    ) -> Result<u32, StoreError> {
        let key = self.key();
        let seal = |(name, value): &(String, SecretSlice<u8>)| {
            Sealed::of(key, name, 1, (new.author, value.expose_secret()))
        };
        let sealed = secrets.iter().map(seal).collect::<Result<Vec<_>, _>>()?;
        let audit = Audit::done(new.author, format!("import a seed with {} secrets", sealed.len()));
        self.write(&audit, |transaction, standing| {
            for secret in &sealed {
                secret.write(transaction)?;
            }
            standing.revision += 1;
            standing.startup = insert(transaction, new)?;
            Ok(standing.startup)
        })
    }

    /// Seals by the key that counts now what this one sealed, also of what may come back.
    pub(super) fn seal_again(&mut self, before: &MachineKey) -> Result<(), StoreError> {
        let mut again = Vec::new();
        for table in ["secrets", "secrets_before"] {
            for mut secret in all_in(self.database(), table)? {
                let Some(value) = before.open_sealed(&secret.name, secret.version, &secret.sealed) else {
                    continue;
                };
                secret.sealed = self
                    .key()
                    .seal(&secret.name, secret.version, value.expose_secret())?;
                again.push((table, secret));
            }
        }
        if again.is_empty() {
            return Ok(());
        }
        let audit = Audit::done(
            &Author::system(),
            "seal secrets by another machine key".to_owned(),
        );
        self.write(&audit, |transaction, standing| {
            for (table, secret) in &again {
                let update = format!("UPDATE {table} SET sealed = ?2, checksum = ?3 WHERE name = ?1");
                transaction.execute(&update, params![secret.name, secret.sealed, secret.checksum()])?;
            }
            standing.revision += 1;
            Ok(())
        })
    }

    /// What is told of every secret, by name.
    pub(crate) fn secrets(&self) -> Result<Vec<SecretHead>, StoreError> {
        Ok(all(self.database())?.into_iter().map(Sealed::head).collect())
    }

    /// What is told of one secret.
    pub(crate) fn secret(&self, name: &str) -> Result<Option<SecretHead>, StoreError> {
        Ok(find(self.database(), name)?.map(Sealed::head))
    }

    /// The value of a secret; the inner `None` if this machine did not seal it.
    pub(crate) fn value(&self, name: &str) -> Result<Option<Option<SecretSlice<u8>>>, StoreError> {
        let found = find(self.database(), name)?;
        Ok(found.map(|found| self.key().open_sealed(name, found.version, &found.sealed)))
    }
}

/// The version of what is sealed next under a name.
pub(super) fn next_version(database: &Connection, name: &str) -> Result<u32, StoreError> {
    Ok(find(database, name)?.map_or(1, |present| present.version + 1))
}

/// Every secret is what was written.
pub(super) fn check_all(database: &Connection) -> Result<(), StoreError> {
    all(database).map(drop)
}

/// Every secret, by name.
pub(super) fn all(database: &Connection) -> Result<Vec<Sealed>, StoreError> {
    all_in(database, "secrets")
}

fn all_in(database: &Connection, table: &str) -> Result<Vec<Sealed>, StoreError> {
    let query = format!("SELECT {COLUMNS} FROM {table} WHERE sealed IS NOT NULL ORDER BY name");
    let mut statement = database.prepare(&query)?;
    let rows = statement.query_map([], Sealed::read)?;
    rows.map(|row| Sealed::checked(row?)).collect()
}

fn find(database: &Connection, name: &str) -> Result<Option<Sealed>, StoreError> {
    let query = format!("SELECT {COLUMNS} FROM secrets WHERE name = ?1");
    let found = database.query_row(&query, [name], Sealed::read).optional()?;
    found.map(Sealed::checked).transpose()
}
