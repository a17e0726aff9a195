//! Against a real TPM in software (`swtpm`).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command as Process};

use secrecy::{ExposeSecret, SecretSlice};

use super::Tpm;
use super::command::{Answer, Command, LOAD, OWNER};
use super::sealing::secret_in;

/// A TPM that runs until it is dropped, in a folder that is its memory.
pub(crate) struct Software {
    process: Child,
    socket: PathBuf,
}

impl Software {
    /// Starts it; `None`, which is said, where there is no `swtpm`.
    pub(crate) fn start(memory: &Path) -> Option<Self> {
        fs::create_dir_all(memory).unwrap();
        let socket = memory.join("socket");
        let _none = fs::remove_file(&socket);
        let started = Process::new("swtpm")
            .args(["socket", "--tpm2", "--flags", "not-need-init,startup-clear"])
            .arg("--tpmstate")
            .arg(format!("dir={}", memory.display()))
            .arg("--server")
            .arg(format!("type=unixio,path={}", socket.display()))
            .spawn();
        if started.is_err() && std::env::var_os("CAUSEWAY_TOKENS").is_none() {
            eprintln!("SKIPPED: no swtpm");
            return None;
        }
        let process = started.unwrap();
        while !socket.exists() {
            std::thread::yield_now();
        }
        Some(Self { process, socket })
    }

    /// What it is opened by.
    pub(crate) fn path(&self) -> &Path {
        &self.socket
    }
}

impl Drop for Software {
    fn drop(&mut self) {
        let _ended = self.process.kill();
        let _waited = self.process.wait();
    }
}

fn secret() -> SecretSlice<u8> {
    vec![0xa5; 32].into()
}

#[test]
fn what_a_tpm_sealed_it_opens_after_a_start_and_another_one_never() {
    let folder = tempfile::tempdir().unwrap();
    let Some(software) = Software::start(&folder.path().join("one")) else {
        return;
    };
    let mut tpm = Tpm::open(software.path()).unwrap();
    let sealed = tpm.seal(&secret()).unwrap();
    assert!(!sealed.windows(8).any(|window| window == [0xa5; 8]));
    // More often than it has room for objects.
    for _ in 0..8 {
        assert_eq!(
            tpm.unseal(&sealed).unwrap().expose_secret(),
            secret().expose_secret()
        );
    }
    drop(tpm);
    drop(software);
    let again = Software::start(&folder.path().join("one")).unwrap();
    let mut tpm = Tpm::open(again.path()).unwrap();
    assert_eq!(
        tpm.unseal(&sealed).unwrap().expose_secret(),
        secret().expose_secret()
    );
    let mut damaged = sealed.clone();
    damaged[40] ^= 1;
    assert!(tpm.unseal(&damaged).unwrap_err().is_for_good());
    assert!(tpm.unseal(&sealed[..40]).unwrap_err().is_for_good());
    let other = Software::start(&folder.path().join("other")).unwrap();
    let refused = Tpm::open(other.path()).unwrap().unseal(&sealed).unwrap_err();
    assert!(refused.is_for_good(), "{refused}");
}

#[test]
fn where_there_is_no_tpm_it_is_said_and_not_for_good() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tpm");
    assert!(!Tpm::open(&file).unwrap_err().is_for_good());
    fs::write(&file, []).unwrap();
    assert!(!Tpm::open(&file).unwrap_err().is_for_good());
}

#[test]
fn an_answer_of_any_octets_is_read_without_a_panic() {
    let command = Command::new(LOAD).handle(OWNER).authorized();
    let mut octets = vec![0x80, 0x02, 0, 0, 0, 0, 0, 0, 0, 0];
    for length in 0..64_u8 {
        octets[5] = u8::try_from(octets.len()).unwrap();
        if let Some(answer) = Answer::new(&command, octets.clone().into()) {
            let _read = (answer.code(), answer.handle(), secret_in(&answer));
        }
        assert!(Answer::new(&command, octets[..octets.len() - 1].to_vec().into()).is_none());
        octets.push(length.wrapping_mul(0x5b) | 0xe0);
    }
}
