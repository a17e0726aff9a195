use std::fmt;

use rusqlite::{Connection, Row, Transaction, params};
use serde::{Deserialize, Serialize};

use super::audit::{Audit, Author};
use super::error::StoreError;
use super::generation::words;
use super::open::Store;
use super::seal::checksum;

/// A token as it is stored: what it may do, and the hash of what is shown once.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Token {
    /// Its name.
    pub(crate) name: String,
    /// Who made it, and with whom it dies.
    pub(crate) user: String,
    /// The word of its role.
    pub(crate) role: String,
    /// Beginnings of paths, separated by spaces; nothing for all of them.
    pub(crate) scope: String,
    /// When it was made, in seconds since 1970.
    pub(crate) at: i64,
    /// When it ends, in seconds since 1970.
    pub(crate) expires_at: Option<i64>,
    /// SHA-256 of the token.
    #[serde(with = "super::hexadecimal")]
    pub(crate) hash: Vec<u8>,
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Token")
            .field(&self.name)
            .field(&self.user)
            .finish()
    }
}

const COLUMNS: &str = "name, user, role, scope, at, expires_at, hash, checksum";

impl Token {
    /// When it was made, RFC 3339.
    pub(crate) fn made_at(&self) -> String {
        words(self.at)
    }

    /// When it ends, RFC 3339.
    pub(crate) fn ends_at(&self) -> Option<String> {
        self.expires_at.map(words)
    }

    fn read(row: &Row<'_>) -> rusqlite::Result<(Self, Vec<u8>)> {
        let token = Self {
            name: row.get(0)?,
            user: row.get(1)?,
            role: row.get(2)?,
            scope: row.get(3)?,
            at: row.get(4)?,
            expires_at: row.get(5)?,
            hash: row.get(6)?,
        };
        Ok((token, row.get(7)?))
    }

    pub(super) fn write(&self, transaction: &Transaction<'_>) -> rusqlite::Result<()> {
        transaction.execute(
            &format!("INSERT INTO tokens ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"),
            params![
                self.name,
                self.user,
                self.role,
                self.scope,
                self.at,
                self.expires_at,
                self.hash,
                self.checksum()
            ],
        )?;
        Ok(())
    }

    fn checksum(&self) -> Vec<u8> {
        let expires_at = self.expires_at.map(i64::to_be_bytes);
        checksum(&[
            self.name.as_bytes(),
            self.user.as_bytes(),
            self.role.as_bytes(),
            self.scope.as_bytes(),
            &self.at.to_be_bytes(),
            expires_at.as_ref().map_or(&[], <[u8; 8]>::as_slice),
            &self.hash,
        ])
    }
}

impl Store {
    /// Every token, by name.
    pub(crate) fn tokens(&self) -> Result<Vec<Token>, StoreError> {
        all(self.database())
    }

    /// Adds a token; the caller has seen that its name is free.
    pub(crate) fn add_token(&mut self, token: &Token, author: &Author) -> Result<(), StoreError> {
        let Token { name, user, role, .. } = token;
        let audit = Audit::done(author, format!("make token {name} of {user} as {role}"));
        self.write(&audit, |transaction, standing| {
            standing.revision += 1;
            Ok(token.write(transaction)?)
        })
    }

    /// Removes a token; the caller has seen that it is there.
    pub(crate) fn remove_token(&mut self, name: &str, author: &Author) -> Result<(), StoreError> {
        let audit = Audit::done(author, format!("remove token {name}"));
        self.write(&audit, |transaction, standing| {
            standing.revision += 1;
            transaction.execute("DELETE FROM tokens WHERE name = ?1", [name])?;
            Ok(())
        })
    }
}

/// Every token, by name, each found to be what was written.
pub(super) fn all(database: &Connection) -> Result<Vec<Token>, StoreError> {
    let mut statement = database.prepare(&format!("SELECT {COLUMNS} FROM tokens ORDER BY name"))?;
    let rows = statement.query_map([], Token::read)?;
    rows.map(|row| {
        let (token, written) = row?;
        if token.checksum() == written {
            return Ok(token);
        }
        let detail = format!("token {:?} is not what was written", token.name);
        Err(StoreError::Damaged(detail))
    })
    .collect()
}
