//! SoftHSM 2 in a process of its own for each scenario, since a module can be initialized only once in a process and reads its
//! settings from the environment.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use appliance_keys::pkcs11::{Modules, TokenKey};
use appliance_keys::{KeyError, Pkcs11Uri};
use secrecy::SecretString;
use tempfile::TempDir;

pub(crate) const SOFTHSM: &str = "/usr/lib/softhsm/libsofthsm2.so";
/// A module that writes down every call before it makes it.
const SPY: &str = "/usr/lib/x86_64-linux-gnu/pkcs11-spy.so";
pub(crate) const PIN: &str = "4711";
const FOLDER: &str = "APPLIANCE_KEYS_LAB";
/// What says that a missing package is a failure.
const REQUIRED: &str = "CAUSEWAY_TOKENS";

/// A folder with tokens.
pub(crate) struct Lab {
    pub(crate) folder: PathBuf,
}

/// Runs a scenario in a process of its own. It says so, past what captures output, where packages are missing.
pub(crate) fn alone(test: &str, needed: &[&str], scenario: fn(&Lab)) {
    alone_with(test, needed, Vec::new, scenario);
}

/// As [`alone`], with more in the environment of the process.
pub(crate) fn alone_with(
    test: &str,
    needed: &[&str],
    environment: impl FnOnce() -> Vec<(&'static str, String)>,
    scenario: fn(&Lab),
) {
    if let Some(folder) = env::var_os(FOLDER) {
        scenario(&Lab {
            folder: PathBuf::from(folder),
        });
        return;
    }
    if let Some(missing) = needed.iter().find(|path| !Path::new(path).exists()) {
        assert!(env::var_os(REQUIRED).is_none(), "{missing} is missing");
        let _ = writeln!(std::io::stderr(), "\nSKIPPED {test}: {missing} is missing\n");
        return;
    }
    let folder = TempDir::new().unwrap();
    let tokens = folder.path().join("tokens");
    fs::create_dir(&tokens).unwrap();
    let settings = format!(
        "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n",
        tokens.display()
    );
    let file = folder.path().join("softhsm2.conf");
    fs::write(&file, settings).unwrap();
    let mut child = Command::new(env::current_exe().unwrap());
    child.args([test, "--exact", "--nocapture"]);
    child.env("SOFTHSM2_CONF", file).env(FOLDER, folder.path());
    child.env("PKCS11SPY", SOFTHSM);
    child.env("TPM2_PKCS11_STORE", tokens);
    child.env("PKCS11SPY_OUTPUT", folder.path().join("calls"));
    child.envs(environment());
    let output = child.output().unwrap();
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// What SoftHSM needs.
pub(crate) const SOFTHSM_NEEDS: &[&str] = &[SOFTHSM, "/usr/bin/softhsm2-util", "/usr/bin/pkcs11-tool"];
/// What it needs to have its calls written down.
pub(crate) const SPY_NEEDS: &[&str] = &[SOFTHSM, "/usr/bin/softhsm2-util", SPY];

pub(crate) fn vector(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/vectors")
        .join(name)
}

pub(crate) fn run<S: AsRef<OsStr>>(program: &str, arguments: impl IntoIterator<Item = S>) {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(
        output.status.success(),
        "{program}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

impl Lab {
    /// A token with a label.
    pub(crate) fn token(&self, label: &str) {
        let arguments = [
            "--init-token",
            "--free",
            "--label",
            label,
            "--pin",
            PIN,
            "--so-pin",
            "815815",
        ];
        run("softhsm2-util", arguments);
    }

    /// Puts a private key, in PKCS#8 and DER, into a token.
    pub(crate) fn import(&self, token: &str, key: &str, label: &str, id: &str) {
        let pem = self.folder.join("imported.pem");
        let octets = fs::read(vector(key)).unwrap();
        let text = pem_of("PRIVATE KEY", &octets);
        fs::write(&pem, text).unwrap();
        let arguments = ["--import", pem.to_str().unwrap(), "--token", token];
        let names = ["--label", label, "--id", id, "--pin", PIN];
        run("softhsm2-util", arguments.into_iter().chain(names));
        fs::remove_file(&pem).unwrap();
    }

    /// Puts a certificate into a token.
    pub(crate) fn certificate(&self, token: &str, certificate: &str, id: Option<&str>) {
        let file = vector(certificate);
        let mut arguments = vec![
            "--module",
            SOFTHSM,
            "--token-label",
            token,
            "--login",
            "--pin",
            PIN,
        ];
        arguments.extend(["--write-object", file.to_str().unwrap(), "--type", "cert"]);
        arguments.extend(id.into_iter().flat_map(|id| ["--id", id]));
        run("pkcs11-tool", arguments);
    }

    /// How often a function of the module was called, by a URI of [`spied`].
    pub(crate) fn calls(&self, function: &str) -> usize {
        let calls = fs::read_to_string(self.folder.join("calls")).unwrap();
        calls.lines().filter(|line| line.ends_with(function)).count()
    }
}

fn pem_of(label: &str, octets: &[u8]) -> String {
    use base64ct::{Base64, Encoding};
    let encoded = Base64::encode_string(octets);
    let lines: Vec<&str> = encoded
        .as_bytes()
        .chunks(64)
        .map(|line| str::from_utf8(line).unwrap())
        .collect();
    format!(
        "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
        lines.join("\n")
    )
}

/// A URI by SoftHSM itself.
pub(crate) fn direct(attributes: &str) -> String {
    format!("pkcs11:{attributes}?module-path={SOFTHSM}")
}

/// A URI by way of what writes calls down.
pub(crate) fn spied(attributes: &str) -> String {
    format!("pkcs11:{attributes}?module-path={SPY}")
}

pub(crate) async fn open(modules: &Modules, uri: &str, pin: &str) -> Result<TokenKey, KeyError> {
    let uri: Pkcs11Uri = uri.parse().unwrap();
    modules.open(uri, Some(SecretString::from(pin))).await
}

/// Why there is no key.
pub(crate) async fn refusal(modules: &Modules, uri: &str, pin: &str) -> KeyError {
    match open(modules, uri, pin).await {
        Ok(_) => panic!("{uri} opens"),
        Err(error) => error,
    }
}

/// Runs what is asynchronous in a scenario.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(future)
}
