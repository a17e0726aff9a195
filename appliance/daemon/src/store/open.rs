use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::fcntl::Flock;
use rusqlite::{Connection, ErrorCode, Transaction, TransactionBehavior};
use tracing::{error, warn};

use super::audit::Audit;
use super::copy::Copy;
use super::durable;
use super::error::{StoreError, of_file};
use super::generation::seconds_now;
use super::keeping::{self, Keeping};
use super::schema::{self, Standing};
use super::seal::MachineKey;
use crate::runtime_directory::hold;

/// Its name in the state directory.
pub(super) const FILE: &str = "causeway.db";

/// The state directory with the database in it, held by one daemon at a time.
#[derive(Debug)]
pub(crate) struct Store {
    database: Connection,
    directory: PathBuf,
    key: MachineKey,
    keeping: Keeping,
    standing: Standing,
    damage: Option<String>,
    _held: Flock<File>,
}

impl Store {
    /// Opens the store, or begins one. A database that is damaged is set aside, and a new one begins with the copy of
    /// what was confirmed last. The machine key is sealed by this TPM, if there is one.
    pub(crate) fn open(directory: &Path, tpm: &Path) -> Result<Self, StoreError> {
        let held = hold(directory, 0o700, "--state")?;
        let found = keeping::find(directory, tpm)?;
        let copy = Copy::read(directory);
        let (database, standing, damage) = match find(directory, &copy) {
            Ok(Some((database, standing))) => (database, standing, None),
            Ok(None) => {
                let (database, standing) = create(directory)?;
                (database, standing, None)
            }
            Err(StoreError::Damaged(why)) => {
                let (database, standing, damage) = begin_anew(directory, copy.as_ref().ok(), &why)?;
                (database, standing, Some(damage))
            }
            Err(error) => return Err(error),
        };
        let mut store = Self {
            database,
            directory: directory.to_owned(),
            key: found.key,
            keeping: found.keeping,
            standing,
            damage,
            _held: held,
        };
        let kept = copy.ok().flatten().map(|copy| copy.revision);
        if kept != Some(store.standing.revision) {
            store.keep_copy();
        }
        if let Some(before) = found.before {
            store.go_over_from(before);
        }
        Ok(store)
    }

    /// Seals by the key of the TPM what the one in the file sealed, and forgets that; where it cannot, that one stays.
    fn go_over_from(&mut self, before: MachineKey) {
        if let Err(error) = self.seal_again(&before) {
            warn!(%error, "the machine key stays in its file until the next start");
            self.key = before;
            self.keeping.by_tpm = false;
        } else if let Err(error) = keeping::forget_plain(&self.directory) {
            warn!(%error, "the machine key of before stays in its file until the next start");
        }
    }

    /// Where the machine key is kept.
    pub(crate) fn keeping(&self) -> &Keeping {
        &self.keeping
    }

    /// Which generations count.
    pub(crate) fn standing(&self) -> &Standing {
        &self.standing
    }

    /// What was found damaged at this start, and what became of it.
    pub(crate) fn damage(&self) -> Option<&str> {
        self.damage.as_deref()
    }

    /// Adds to the audit log what changed nothing else.
    pub(crate) fn audit(&mut self, audit: &Audit) -> Result<(), StoreError> {
        self.write(audit, |_, _| Ok(()))
    }

    pub(super) fn database(&self) -> &Connection {
        &self.database
    }

    pub(super) fn key(&self) -> &MachineKey {
        &self.key
    }

    /// One change, whole and on the disk, or none.
    pub(super) fn write<T>(
        &mut self,
        audit: &Audit,
        work: impl FnOnce(&Transaction<'_>, &mut Standing) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut standing = self.standing.clone();
        let transaction = self
            .database
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let done = work(&transaction, &mut standing)?;
        audit.write(&transaction)?;
        standing.write(&transaction)?;
        transaction.commit()?;
        let copied = self.standing.revision == standing.revision;
        self.standing = standing;
        if !copied {
            self.keep_copy();
        }
        Ok(done)
    }

    /// The database has it already, so what is lacking here is made up for at the next start.
    fn keep_copy(&self) {
        let kept = Copy::of(&self.database, &self.standing).and_then(|copy| copy.keep(&self.directory));
        if let Err(error) = kept {
            warn!(%error, "the copy beside the database is not up to date");
        }
    }
}

type Found = Option<(Connection, Standing)>;

/// The database that is there. Whatever makes it useless is damage; what may pass is not.
fn find(directory: &Path, copy: &Result<Option<Copy>, StoreError>) -> Result<Found, StoreError> {
    let path = directory.join(FILE);
    let never_filled = matches!(copy, Ok(None));
    let copy = copy.as_ref().ok().and_then(Option::as_ref);
    match fs::symlink_metadata(&path) {
        Ok(_) => (),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return match copy {
                None => Ok(None),
                Some(_) => Err(StoreError::Damaged("it is gone".to_owned())),
            };
        }
        Err(error) => return Err(of_file(&path)(error)),
    }
    match schema::open(&path) {
        // The copy comes after the tables, so the power was cut in the very first start.
        Ok(None) if never_filled => Ok(None),
        Ok(None) => Err(StoreError::Damaged("it is empty".to_owned())),
        Ok(Some((_, standing))) if copy.is_some_and(|copy| copy.revision > standing.revision) => {
            Err(StoreError::Damaged("its last changes are gone".to_owned()))
        }
        Ok(opened) => Ok(opened),
        Err(StoreError::Database(error)) if is_damage(&error) => Err(StoreError::Damaged(error.to_string())),
        Err(error) => Err(error),
    }
}

fn is_damage(error: &rusqlite::Error) -> bool {
    !matches!(
        error.sqlite_error_code(),
        Some(
            ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::PermissionDenied
                | ErrorCode::ReadOnly
                | ErrorCode::DiskFull
                | ErrorCode::OutOfMemory
        )
    )
}

/// A new database, for its owner only.
fn create(directory: &Path) -> Result<(Connection, Standing), StoreError> {
    let path = directory.join(FILE);
    let made = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path);
    made.map_err(of_file(&path))?;
    let created = schema::create(&path)?;
    durable::sync_folder_of(&path).map_err(of_file(&path))?;
    Ok(created)
}

/// Sets the database aside and begins another with the copy. Returns what is to be said about it.
fn begin_anew(
    directory: &Path,
    copy: Option<&Option<Copy>>,
    why: &str,
) -> Result<(Connection, Standing, String), StoreError> {
    let aside = set_aside(directory)?;
    let (mut database, mut standing) = create(directory)?;
    let began = match copy.map(Option::as_ref) {
        Some(Some(copy)) => {
            let transaction = database.transaction()?;
            standing = copy.restore(&transaction)?;
            transaction.commit()?;
            format!("a new one began with {}, confirmed last", copy.words())
        }
        Some(None) => "a new one began empty, for there is no copy".to_owned(),
        None => "a new one began empty, for the copy is damaged, too".to_owned(),
    };
    let damage = format!("the database was damaged ({why}) and is set aside as {aside}; {began}");
    error!(reason = "store-damaged", "{damage}");
    Ok((database, standing, damage))
}

/// Gives the database and its log another name. Neither is ever removed.
fn set_aside(directory: &Path) -> Result<String, StoreError> {
    let now = seconds_now();
    let mut names = (0_u32..).map(|count| format!("{FILE}.damaged-{now}-{count}"));
    let free = |name: &String| fs::symlink_metadata(directory.join(name)).is_err();
    let name = names.find(free).unwrap_or_default();
    for suffix in ["", "-wal", "-shm", "-journal"] {
        let from = directory.join(format!("{FILE}{suffix}"));
        match fs::rename(&from, directory.join(format!("{name}{suffix}"))) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(of_file(&from)(error)),
            _ => (),
        }
    }
    Ok(name)
}
