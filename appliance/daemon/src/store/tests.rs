use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretSlice};

use super::keeping::{PLAIN, SEALED};
use super::open::FILE;
use super::{Audit, Author, Boot, New, Store, StoreError, copy};
use crate::tpm::tests::Software;

static ROOT: LazyLock<Author> = LazyLock::new(|| by("uid 0"));

fn by(who: &str) -> Author {
    Author {
        who: who.to_owned(),
        source: "socket".to_owned(),
    }
}

impl Store {
    /// Who, from where, what and the result of each line of the audit log, oldest first.
    pub(crate) fn audit_lines(&self) -> Vec<String> {
        let query = "SELECT who || ' ' || source || ' ' || what || ' ' || result FROM audit ORDER BY id";
        let mut statement = self.database().prepare(query).unwrap();
        let lines = statement.query_map([], |row| row.get(0)).unwrap();
        lines.map(Result::unwrap).collect()
    }
}

/// On a machine without a TPM.
fn open(directory: &Path) -> Result<Store, StoreError> {
    Store::open(directory, Path::new("/nonexistent/tpm"))
}

fn new(document: &str) -> New<'_> {
    New {
        author: &ROOT,
        source: "api",
        comment: "",
        document,
    }
}

fn secret(value: &str) -> SecretSlice<u8> {
    value.as_bytes().to_vec().into()
}

/// The document of the start-up generation.
fn startup(store: &Store) -> String {
    let number = store.standing().startup;
    store.generation(number).unwrap().unwrap().document
}

fn value(store: &Store, name: &str) -> String {
    let value = store.value(name).unwrap().unwrap().unwrap();
    String::from_utf8(value.expose_secret().to_vec()).unwrap()
}

/// Two documents, the second confirmed, and a secret; closed.
fn filled() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let mut store = open(directory.path()).unwrap();
    store.commit(new(r#"{"first":1}"#), &[], None).unwrap();
    store.commit(new(r#"{"second":2}"#), &[], None).unwrap();
    store.set_secret("psk", &secret("Geheim1"), &ROOT).unwrap();
    directory
}

/// Names in the directory that begin so.
fn names(directory: &Path, prefix: &str) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with(prefix)).collect()
}

#[test]
fn what_was_committed_is_there_after_a_start() {
    let directory = filled();
    let store = open(directory.path()).unwrap();
    assert_eq!(store.damage(), None);
    assert_eq!(
        (store.standing().startup, startup(&store).as_str()),
        (2, r#"{"second":2}"#)
    );
    assert_eq!(value(&store, "psk"), "Geheim1");
    let heads = store.generations().unwrap();
    let told: Vec<_> = heads
        .iter()
        .map(|head| (head.number, head.author.as_str()))
        .collect();
    assert_eq!(told, [(2, "uid 0"), (1, "uid 0")]);
    for file in [FILE, copy::FILE, "machine.key"] {
        let mode = fs::metadata(directory.path().join(file))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
}

#[test]
fn one_daemon_holds_a_state_directory() {
    let directory = tempfile::tempdir().unwrap();
    let _store = open(directory.path()).unwrap();
    let refusal = open(directory.path()).unwrap_err().to_string();
    assert!(refusal.contains("--state"), "{refusal}");
}

#[test]
fn a_trial_outlives_the_process_and_returns_or_is_confirmed() {
    let directory = filled();
    let deadline = Boot::now().later(Duration::from_secs(60));
    let mut store = open(directory.path()).unwrap();
    assert_eq!(store.commit(new("{}"), &[], Some(deadline.clone())).unwrap(), 3);
    drop(store);
    let mut store = open(directory.path()).unwrap();
    let standing = store.standing().clone();
    assert_eq!((standing.startup, standing.current()), (2, 3));
    assert_eq!(standing.trial.unwrap().deadline.boot, deadline.boot);
    store
        .return_to_startup(&Author::system(), "not confirmed")
        .unwrap();
    assert_eq!(store.standing().current(), 2);
    assert_eq!(store.commit(new("{}"), &[], Some(deadline)).unwrap(), 4);
    store.confirm(&ROOT).unwrap();
    drop(store);
    let store = open(directory.path()).unwrap();
    assert_eq!((store.standing().startup, &store.standing().trial), (4, &None));
}

#[test]
fn what_could_not_be_applied_was_never_there() {
    let directory = filled();
    let mut store = open(directory.path()).unwrap();
    let before = store.standing().clone();
    let number = store.commit(new("{}"), &[], None).unwrap();
    store.withdraw(number, &before, &ROOT).unwrap();
    drop(store);
    let store = open(directory.path()).unwrap();
    assert_eq!(
        (store.damage(), startup(&store).as_str()),
        (None, r#"{"second":2}"#)
    );
    assert!(store.generation(number).unwrap().is_none());
}

#[test]
fn old_generations_are_forgotten_but_never_one_that_counts() {
    let directory = filled();
    let mut store = open(directory.path()).unwrap();
    let deadline = Boot::now().later(Duration::from_secs(60));
    for _ in 0..210 {
        store.commit(new("{}"), &[], Some(deadline.clone())).unwrap();
    }
    let numbers: Vec<u32> = store
        .generations()
        .unwrap()
        .iter()
        .map(|head| head.number)
        .collect();
    assert_eq!(numbers.len(), 201);
    assert_eq!((numbers.first(), numbers.last()), (Some(&212), Some(&2)));
    let large = format!(r#"{{"x":"{}"}}"#, "x".repeat(20 << 20));
    for _ in 0..5 {
        store.commit(new(&large), &[], None).unwrap();
    }
    let numbers: Vec<u32> = store
        .generations()
        .unwrap()
        .iter()
        .map(|head| head.number)
        .collect();
    assert_eq!(numbers, [217, 216, 215]);
}

#[test]
fn the_audit_log_is_bounded_and_tells_the_refused_too() {
    let directory = filled();
    let mut store = open(directory.path()).unwrap();
    let refused = Audit {
        author: by("uid 1000"),
        what: "commit".to_owned(),
        result: "stale".to_owned(),
    };
    store.audit(&refused).unwrap();
    let told = store.audit_lines();
    assert_eq!(told[0], "uid 0 socket commit by api done");
    assert_eq!(told[2], "uid 0 socket set secret psk done");
    assert_eq!(told[3], "uid 1000 socket commit stale");
}

#[test]
fn a_secret_is_set_replaced_and_removed_and_never_stored_in_clear() {
    let directory = filled();
    let mut store = open(directory.path()).unwrap();
    let before = store.secret("psk").unwrap().unwrap();
    assert!(!store.set_secret("psk", &secret("Geheim1"), &by("uid 1")).unwrap());
    assert_eq!(store.secret("psk").unwrap().unwrap(), before);
    assert!(store.set_secret("psk", &secret("Geheim2"), &by("uid 1")).unwrap());
    let after = store.secret("psk").unwrap().unwrap();
    assert_ne!(after.fingerprint, before.fingerprint);
    assert_eq!(
        (after.author.as_str(), value(&store, "psk").as_str()),
        ("uid 1", "Geheim2")
    );
    for name in names(directory.path(), "") {
        let content = fs::read(directory.path().join(&name)).unwrap();
        assert!(!content.windows(6).any(|window| window == b"Geheim"), "{name}");
    }
    assert!(store.remove_secret("psk", &ROOT).unwrap());
    assert!(!store.remove_secret("psk", &ROOT).unwrap());
    assert!(store.value("psk").unwrap().is_none());
}

/// A stolen disk without the key, or the key of another machine, opens nothing.
#[test]
fn secrets_stay_sealed_under_another_key() {
    let directory = filled();
    fs::write(directory.path().join("machine.key"), [7; 32]).unwrap();
    let store = open(directory.path()).unwrap();
    assert_eq!(store.damage(), None);
    assert!(store.value("psk").unwrap().unwrap().is_none());
    drop(store);
    fs::write(directory.path().join("machine.key"), "short").unwrap();
    let refusal = open(directory.path()).unwrap_err().to_string();
    assert!(refusal.contains("machine key"), "{refusal}");
}

/// After whatever happened to the database, the confirmed document and its secrets are there, and if it was set aside it
/// is said and nothing is removed.
fn survives(directory: &Path, what: &str) -> bool {
    let store = open(directory).unwrap();
    assert_eq!(startup(&store), r#"{"second":2}"#, "{what}");
    assert_eq!(value(&store, "psk"), "Geheim1", "{what}");
    let aside = names(directory, &format!("{FILE}.damaged"));
    if let Some(damage) = store.damage() {
        assert!(
            damage.contains(&aside[0]) && damage.contains("generation 2"),
            "{damage}"
        );
    }
    drop(store);
    let again = open(directory).unwrap();
    assert_eq!(
        (again.damage(), startup(&again).as_str()),
        (None, r#"{"second":2}"#)
    );
    !aside.is_empty()
}

#[test]
fn a_truncated_overwritten_or_missing_database_is_set_aside() {
    let length = fs::metadata(filled().path().join(FILE)).unwrap().len();
    for keep in [0, 1, 100, length / 2, length - 4096, length - 1] {
        let directory = filled();
        let file = fs::File::options()
            .write(true)
            .open(directory.path().join(FILE))
            .unwrap();
        file.set_len(keep).unwrap();
        // A single octet at the end may be one that nothing is stored in.
        let noticed = survives(directory.path(), &format!("cut to {keep}"));
        assert!(noticed || keep == length - 1, "cut to {keep}");
    }
    for content in [&b"not a database"[..], &[0; 8192], &[0xff; 8192]] {
        let directory = filled();
        fs::write(directory.path().join(FILE), content).unwrap();
        assert!(survives(directory.path(), "overwritten"));
    }
    let directory = filled();
    fs::remove_file(directory.path().join(FILE)).unwrap();
    fs::create_dir(directory.path().join(FILE)).unwrap();
    assert!(survives(directory.path(), "a directory"));
    let directory = filled();
    fs::remove_file(directory.path().join(FILE)).unwrap();
    let store = open(directory.path()).unwrap();
    assert!(store.damage().unwrap().contains("gone"));
    assert_eq!(startup(&store), r#"{"second":2}"#);
}

/// One bit, anywhere: it is noticed where it matters, and never taken for what was written.
#[test]
fn a_first_start_that_a_power_cut_ended_is_begun_again() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join(FILE), "").unwrap();
    let mut store = open(directory.path()).unwrap();
    assert_eq!(store.damage(), None);
    assert_eq!(names(directory.path(), &format!("{FILE}.damaged")), [""; 0]);
    store.commit(new("{}"), &[], None).unwrap();
    drop(store);
    assert_eq!(open(directory.path()).unwrap().standing().startup, 1);
}

#[test]
fn a_flipped_bit_never_changes_what_a_start_begins_with() {
    let whole = filled();
    let content = fs::read(whole.path().join(FILE)).unwrap();
    let mut set_aside = 0;
    // Every 61st octet of every page but the first, and all of the header.
    for place in (0..100).chain((100..content.len()).step_by(61)) {
        let directory = tempfile::tempdir().unwrap();
        for name in [copy::FILE, "machine.key"] {
            fs::copy(whole.path().join(name), directory.path().join(name)).unwrap();
        }
        let mut flipped = content.clone();
        flipped[place] ^= 1 << (place % 8);
        fs::write(directory.path().join(FILE), flipped).unwrap();
        set_aside += usize::from(survives(directory.path(), &format!("bit in octet {place}")));
    }
    assert!(set_aside > 10, "only {set_aside} were noticed");
}

/// The log of a killed daemon is cut off: what was acknowledged comes back from the copy.
#[test]
fn a_lost_log_is_noticed() {
    let directory = filled();
    let before = fs::read(directory.path().join(FILE)).unwrap();
    let mut store = open(directory.path()).unwrap();
    store.commit(new(r#"{"third":3}"#), &[], None).unwrap();
    drop(store);
    fs::write(directory.path().join(FILE), before).unwrap();
    let store = open(directory.path()).unwrap();
    assert!(store.damage().unwrap().contains("last changes"));
    assert_eq!(
        (store.standing().startup, startup(&store).as_str()),
        (3, r#"{"third":3}"#)
    );
}

#[test]
fn a_damaged_copy_is_written_anew_and_without_either_there_is_nothing() {
    let directory = filled();
    let path = directory.path().join(copy::FILE);
    let good = fs::read(&path).unwrap();
    fs::write(&path, &good[..good.len() - 1]).unwrap();
    assert_eq!(open(directory.path()).unwrap().damage(), None);
    assert_eq!(fs::read(&path).unwrap(), good);
    fs::write(&path, "nonsense").unwrap();
    fs::write(directory.path().join(FILE), "nonsense").unwrap();
    let store = open(directory.path()).unwrap();
    assert!(store.damage().unwrap().contains("copy is damaged"));
    assert_eq!(store.standing().startup, 0);
}

/// The key in its file becomes one of the TPM, which opens what was sealed before; the disk alone opens nothing.
#[test]
fn a_tpm_takes_the_machine_key_over_from_its_file() {
    let directory = filled();
    let Some(tpm) = Software::start(&directory.path().join("tpm")) else {
        return;
    };
    for _ in 0..2 {
        let store = Store::open(directory.path(), tpm.path()).unwrap();
        let keeping = store.keeping();
        assert_eq!((keeping.by_tpm, &keeping.lost), (true, &None));
        assert_eq!(value(&store, "psk"), "Geheim1");
        assert_eq!(names(directory.path(), "machine."), [SEALED]);
    }
    // The copy beside the database is as new.
    fs::write(directory.path().join(FILE), "damaged").unwrap();
    let store = Store::open(directory.path(), tpm.path()).unwrap();
    assert_eq!(value(&store, "psk"), "Geheim1");
}

/// A power cut between any two steps: the start after it goes on.
#[test]
fn a_machine_key_that_was_half_taken_over_is_taken_over_by_the_next_start() {
    let directory = filled();
    let plain = fs::read(directory.path().join(PLAIN)).unwrap();
    let Some(tpm) = Software::start(&directory.path().join("tpm")) else {
        return;
    };
    let database = fs::read(directory.path().join(FILE)).unwrap();
    let copy = fs::read(directory.path().join(copy::FILE)).unwrap();
    drop(Store::open(directory.path(), tpm.path()).unwrap());
    // Sealed again, and not yet removed.
    fs::write(directory.path().join(PLAIN), &plain).unwrap();
    let store = Store::open(directory.path(), tpm.path()).unwrap();
    assert_eq!(value(&store, "psk"), "Geheim1");
    drop(store);
    // Not sealed again yet.
    fs::write(directory.path().join(PLAIN), &plain).unwrap();
    fs::write(directory.path().join(FILE), database).unwrap();
    fs::write(directory.path().join(copy::FILE), copy).unwrap();
    let store = Store::open(directory.path(), tpm.path()).unwrap();
    assert_eq!((value(&store, "psk").as_str(), store.damage()), ("Geheim1", None));
    assert_eq!(names(directory.path(), "machine."), [SEALED]);
}

/// What is set while the TPM is away is there when it is back, and so is what was set before.
#[test]
fn a_tpm_that_is_away_for_a_while_takes_nothing_with_it() {
    let directory = filled();
    let Some(tpm) = Software::start(&directory.path().join("tpm")) else {
        return;
    };
    drop(Store::open(directory.path(), tpm.path()).unwrap());
    let mut store = open(directory.path()).unwrap();
    let keeping = store.keeping().clone();
    assert!(!keeping.by_tpm && keeping.lost.unwrap().contains("cannot be spoken to"));
    assert!(store.value("psk").unwrap().unwrap().is_none());
    store.set_secret("other", &secret("Geheim2"), &ROOT).unwrap();
    drop(store);
    let store = Store::open(directory.path(), tpm.path()).unwrap();
    let keeping = store.keeping();
    assert_eq!((keeping.by_tpm, &keeping.lost), (true, &None));
    assert_eq!(
        (value(&store, "psk").as_str(), value(&store, "other").as_str()),
        ("Geheim1", "Geheim2")
    );
}

/// Another board, or a TPM that was cleared: all starts, the document is there, and secrets are taken anew.
#[test]
fn a_machine_with_another_tpm_starts_and_takes_secrets_anew() {
    let directory = filled();
    let Some(tpm) = Software::start(&directory.path().join("tpm")) else {
        return;
    };
    drop(Store::open(directory.path(), tpm.path()).unwrap());
    let other = Software::start(&directory.path().join("other")).unwrap();
    let mut store = Store::open(directory.path(), other.path()).unwrap();
    let keeping = store.keeping().clone();
    assert!(keeping.by_tpm && keeping.lost.unwrap().contains("TPM2_Load"));
    assert_eq!(
        (startup(&store).as_str(), store.damage()),
        (r#"{"second":2}"#, None)
    );
    assert!(store.value("psk").unwrap().unwrap().is_none());
    assert!(store.set_secret("psk", &secret("Geheim2"), &ROOT).unwrap());
    drop(store);
    let store = Store::open(directory.path(), other.path()).unwrap();
    assert_eq!(
        (value(&store, "psk").as_str(), &store.keeping().lost),
        ("Geheim2", &None)
    );
    assert_eq!(names(directory.path(), "machine.").len(), 2);
}
