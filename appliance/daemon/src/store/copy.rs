use std::fs;
use std::io;
use std::path::Path;

use rusqlite::{Connection, Transaction};
use serde::{Deserialize, Serialize};

use super::durable;
use super::error::{StoreError, of_file};
use super::generation::Generation;
use super::password::{self, Password};
use super::schema::Standing;
use super::seal::{checksum, hex};
use super::secret::{self, Sealed};
use super::token::{self, Token};

/// Its name in the state directory.
pub(super) const FILE: &str = "confirmed.json";

/// What a start needs, beside the database: the start-up generation, the secrets, sealed as they are there, and who may
/// come in.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Copy {
    pub(super) revision: u32,
    generation: Option<Generation>,
    secrets: Vec<Sealed>,
    #[serde(default)]
    passwords: Vec<Password>,
    #[serde(default)]
    tokens: Vec<Token>,
}

impl Copy {
    /// What is to be copied of this database.
    pub(super) fn of(database: &Connection, standing: &Standing) -> Result<Self, StoreError> {
        Ok(Self {
            revision: standing.revision,
            generation: Generation::read(database, standing.startup)?,
            secrets: secret::all(database)?,
            passwords: password::all(database)?,
            tokens: token::all(database)?,
        })
    }

    /// The copy that is there; an error says why it cannot be used.
    pub(super) fn read(directory: &Path) -> Result<Option<Self>, StoreError> {
        let path = directory.join(FILE);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(of_file(&path)(error)),
        };
        let damaged = || StoreError::Damaged(format!("{} is not what was written", path.display()));
        let end = text
            .iter()
            .position(|octet| *octet == b'\n')
            .ok_or_else(damaged)?;
        let (written, body) = text.split_at_checked(end + 1).ok_or_else(damaged)?;
        let expected = format!("{}\n", hex(&checksum(&[body])));
        if written != expected.as_bytes() {
            return Err(damaged());
        }
        serde_json::from_slice(body).map(Some).map_err(|_| damaged())
    }

    /// Puts it in place of the one before.
    pub(super) fn keep(&self, directory: &Path) -> Result<(), StoreError> {
        let path = directory.join(FILE);
        let body = serde_json::to_vec(self).map_err(|error| of_file(&path)(error.into()))?;
        let text = [hex(&checksum(&[&body])).as_bytes(), b"\n", &body].concat();
        durable::replace(&path, &text).map_err(of_file(&path))
    }

    /// Fills a new database with it.
    pub(super) fn restore(&self, transaction: &Transaction<'_>) -> rusqlite::Result<Standing> {
        for secret in &self.secrets {
            secret.write(transaction)?;
        }
        for password in &self.passwords {
            password.write(transaction)?;
        }
        for token in &self.tokens {
            token.write(transaction)?;
        }
        if let Some(generation) = &self.generation {
            generation.write(transaction)?;
        }
        let standing = Standing {
            revision: self.revision,
            startup: self.generation.as_ref().map_or(0, |generation| generation.number),
            trial: None,
        };
        standing.write(transaction)?;
        Ok(standing)
    }

    /// In words.
    pub(super) fn words(&self) -> String {
        match &self.generation {
            Some(generation) => format!("generation {}", generation.number),
            None => "no generation".to_owned(),
        }
    }
}
