use rusqlite::Transaction;
use secrecy::{ExposeSecret, SecretSlice};

use super::audit::Author;
use super::error::StoreError;
use super::open::Store;
use super::seal::same;
use super::secret::{self, Sealed};

/// Secrets by name, and those that this machine did not seal.
type Opened = (Vec<(String, SecretSlice<u8>)>, Vec<String>);

impl Store {
    /// Every secret, and the names of those that this machine cannot open.
    pub(crate) fn values(&self) -> Result<Opened, StoreError> {
        let (mut opened, mut others) = (Vec::new(), Vec::new());
        for head in self.secrets()? {
            match self.value(&head.name)?.flatten() {
                Some(value) => opened.push((head.name, value)),
                None => others.push(head.name),
            }
        }
        Ok((opened, others))
    }

    /// Those of these secrets that have another value here, or are not here.
    pub(crate) fn new_among(
        &self,
        secrets: Vec<(String, SecretSlice<u8>)>,
    ) -> Result<Vec<(String, SecretSlice<u8>)>, StoreError> {
        let mut new = Vec::new();
        for (name, value) in secrets {
            let present = self.value(&name)?.flatten();
            if !present.is_some_and(|present| same(&present, &value)) {
                new.push((name, value));
            }
        }
        Ok(new)
    }

    /// These as they are to be stored.
    pub(super) fn sealed(
        &self,
        secrets: &[(String, SecretSlice<u8>)],
        author: &Author,
    ) -> Result<Vec<Sealed>, StoreError> {
        let seal = |(name, value): &(String, SecretSlice<u8>)| {
            let version = secret::next_version(self.database(), name)?;
            Sealed::of(self.key(), name, version, (author, value.expose_secret()))
        };
        secrets.iter().map(seal).collect()
    }
}

/// Stores secrets, and remembers what was there.
pub(super) fn replace(transaction: &Transaction<'_>, sealed: &[Sealed]) -> rusqlite::Result<()> {
    forget(transaction)?;
    for secret in sealed {
        let (rows, all) = ("version, at, author, fingerprint, sealed, checksum", "secrets");
        transaction.execute(
            &format!(
                "INSERT INTO secrets_before (name, {rows})
                 SELECT ?1, {rows} FROM (SELECT 1) LEFT JOIN {all} ON name = ?1"
            ),
            [&secret.name],
        )?;
        secret.write(transaction)?;
    }
    Ok(())
}

/// What was there before is of no interest any more.
pub(super) fn forget(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    transaction.execute("DELETE FROM secrets_before", [])?;
    Ok(())
}

/// What was there before of this one is of no interest any more.
pub(super) fn forget_one(transaction: &Transaction<'_>, name: &str) -> rusqlite::Result<()> {
    transaction.execute("DELETE FROM secrets_before WHERE name = ?1", [name])?;
    Ok(())
}

/// Puts back what was there before.
pub(super) fn restore(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    transaction.execute_batch(
        "DELETE FROM secrets WHERE name IN (SELECT name FROM secrets_before);
         INSERT INTO secrets (name, version, at, author, fingerprint, sealed, checksum)
             SELECT name, version, at, author, fingerprint, sealed, checksum FROM secrets_before
             WHERE sealed IS NOT NULL;",
    )?;
    forget(transaction)
}
