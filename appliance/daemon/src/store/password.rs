use std::collections::BTreeSet;
use std::fmt;

use rusqlite::{Connection, Row, Transaction, params};
use serde::{Deserialize, Serialize};

use super::audit::{Audit, Author};
use super::error::StoreError;
use super::generation::{seconds_now, words};
use super::open::Store;
use super::seal::checksum;

/// The hash of a user's password, who set it and when.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Password {
    /// Whose.
    pub(crate) user: String,
    at: i64,
    /// Who set it.
    pub(crate) author: String,
    /// With its salt and parameters, as a PHC string.
    pub(crate) hash: String,
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Password").field(&self.user).finish()
    }
}

const COLUMNS: &str = "user, at, author, hash, checksum";

impl Password {
    /// When it was set, RFC 3339.
    pub(crate) fn set_at(&self) -> String {
        words(self.at)
    }

    fn read(row: &Row<'_>) -> rusqlite::Result<(Self, Vec<u8>)> {
        let password = Self {
            user: row.get(0)?,
            at: row.get(1)?,
            author: row.get(2)?,
            hash: row.get(3)?,
        };
        Ok((password, row.get(4)?))
    }

    pub(super) fn write(&self, transaction: &Transaction<'_>) -> rusqlite::Result<()> {
        transaction.execute(
            &format!("INSERT OR REPLACE INTO passwords ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5)"),
            params![self.user, self.at, self.author, self.hash, self.checksum()],
        )?;
        Ok(())
    }

    fn checksum(&self) -> Vec<u8> {
        let (user, author, hash) = (&self.user, &self.author, &self.hash);
        checksum(&[
            user.as_bytes(),
            &self.at.to_be_bytes(),
            author.as_bytes(),
            hash.as_bytes(),
        ])
    }
}

impl Store {
    /// Every password's hash, by user.
    pub(crate) fn passwords(&self) -> Result<Vec<Password>, StoreError> {
        all(self.database())
    }

    /// Sets the hash of a user's password.
    pub(crate) fn set_password(
        &mut self,
        user: &str,
        hash: String,
        author: &Author,
    ) -> Result<(), StoreError> {
        let password = Password {
            user: user.to_owned(),
            at: seconds_now(),
            author: author.who.clone(),
            hash,
        };
        let audit = Audit::done(author, format!("set the password of {user}"));
        self.write(&audit, |transaction, standing| {
            standing.revision += 1;
            Ok(password.write(transaction)?)
        })
    }

    /// Forgets passwords and tokens of all but these users, who alone can come back without being made anew.
    pub(crate) fn keep_access_of(&mut self, users: &BTreeSet<String>) -> Result<(), StoreError> {
        let (passwords, tokens) = (self.passwords()?, self.tokens()?);
        let owners = passwords.iter().map(|password| &password.user);
        let owners = owners.chain(tokens.iter().map(|token| &token.user));
        let gone: BTreeSet<&String> = owners.filter(|owner| !users.contains(*owner)).collect();
        for user in gone {
            let audit = Audit::done(
                &Author::system(),
                format!("forget the password and the tokens of {user}"),
            );
            self.write(&audit, |transaction, standing| {
                standing.revision += 1;
                transaction.execute("DELETE FROM passwords WHERE user = ?1", [user])?;
                transaction.execute("DELETE FROM tokens WHERE user = ?1", [user])?;
                Ok(())
            })?;
        }
        Ok(())
    }
}

/// Every password's hash, by user, each found to be what was written.
pub(super) fn all(database: &Connection) -> Result<Vec<Password>, StoreError> {
    let mut statement = database.prepare(&format!("SELECT {COLUMNS} FROM passwords ORDER BY user"))?;
    let rows = statement.query_map([], Password::read)?;
    rows.map(|row| {
        let (password, written) = row?;
        if password.checksum() == written {
            return Ok(password);
        }
        let detail = format!("the password of {:?} is not what was written", password.user);
        Err(StoreError::Damaged(detail))
    })
    .collect()
}
