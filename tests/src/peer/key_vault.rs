//! A key vault by HTTPS, and beside it whoever gives tokens for it by HTTP: the metadata service of a virtual machine of Azure, or
//! the agent of Azure Arc. Both speak Azure's protocols and fail as a test tells them to, while they run.

mod answers;
mod connection;
mod sign;

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::socket::{Shutdown, shutdown};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::lab::pki::{Issued, Key, Name, Wanted};

/// For whom the tokens of a vault in the public cloud are.
pub const AUDIENCE: &str = "https://vault.azure.net";

/// A running vault with its metadata service; it ends when dropped.
pub struct KeyVault {
    state: Arc<Mutex<State>>,
    vault: SocketAddr,
    metadata: SocketAddr,
    root: Issued,
    listeners: Vec<(TcpListener, JoinHandle<()>)>,
}

/// Who of both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The vault.
    Vault,
    /// Who gives tokens.
    Metadata,
}

/// How an answer fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It has another status, with the seconds of `Retry-After` if there are any.
    Status(u16, Option<u32>),
    /// It is 200 and no JSON.
    Garbage,
    /// It never comes.
    Silence,
    /// The connection ends instead.
    Hangup,
    /// It has two megabytes.
    Flood,
    /// A signature is damaged.
    Damage,
}

/// A version of a certificate in the vault.
#[derive(Clone, Debug)]
pub struct Version {
    /// The certificate in DER.
    pub certificate: Vec<u8>,
    /// Its private key: PKCS#8 in DER.
    pub key: Vec<u8>,
    /// What it is as a secret.
    pub secret: Secret,
    /// Whether the secret has the private key.
    pub exportable: bool,
    /// Whether it may be used.
    pub enabled: bool,
}

/// A certificate as a secret.
#[derive(Clone, Debug)]
pub enum Secret {
    /// As PEM.
    Pem(String),
    /// As PKCS#12.
    Pfx(Vec<u8>),
    /// Our identity may not read it.
    Forbidden,
}

/// How Azure Arc's agent asks for proof.
#[derive(Clone, Debug)]
struct Agent {
    folder: PathBuf,
    asked: u32,
    shown: Option<String>,
}

struct State {
    authority: String,
    certificates: BTreeMap<String, Vec<(String, Version)>>,
    made: u32,
    failures: BTreeMap<Part, VecDeque<Failure>>,
    delay: Duration,
    identity: Option<(String, String)>,
    audience: String,
    life: u32,
    token: u32,
    arc: Option<Agent>,
    may_sign: bool,
    asked: Vec<String>,
}

impl KeyVault {
    /// Serves at free ports of an address.
    ///
    /// # Errors
    /// When the address is not there.
    pub fn start(address: IpAddr) -> Result<Self> {
        let free = SocketAddr::new(address, 0);
        Self::start_at(free, free, &[])
    }

    /// Serves the vault and the metadata at these addresses, in the namespace of the caller. The vault proves itself by a
    /// certificate with its address and these names, of which it calls itself by the first.
    ///
    /// # Errors
    /// When an address is not there, or its port is taken.
    pub fn start_at(vault: SocketAddr, metadata: SocketAddr, names: &[&'static str]) -> Result<Self> {
        let bound = |address| TcpListener::bind(address).with_context(|| format!("binding {address}"));
        let (vault, metadata) = (bound(vault)?, bound(metadata)?);
        let (vault_at, metadata_at) = (vault.local_addr()?, metadata.local_addr()?);
        let root = Issued::root(&Wanted::authority("Root of the vault", 0))?;
        let mut wanted = Wanted::leaf("vault");
        wanted.key = Key::P256;
        wanted.names = vec![Name::Ip(vault_at.ip())];
        wanted.names.extend(names.iter().map(|name| Name::Dns(name)));
        let tls = Arc::new(secured(&root.issue(&wanted)?)?);
        let named = names.first().map(|name| format!("{name}:{}", vault_at.port()));
        let authority = named.unwrap_or_else(|| vault_at.to_string());
        let state = Arc::new(Mutex::new(State::new(authority)));
        let sockets = (vault.try_clone()?, metadata.try_clone()?);
        let listeners = vec![
            (
                sockets.0,
                connection::listen(vault, Part::Vault, Some(tls), &state),
            ),
            (
                sockets.1,
                connection::listen(metadata, Part::Metadata, None, &state),
            ),
        ];
        Ok(Self {
            state,
            vault: vault_at,
            metadata: metadata_at,
            root,
            listeners,
        })
    }

    /// The root that the vault's own certificate goes back to.
    pub fn root(&self) -> &Issued {
        &self.root
    }

    /// What names a certificate of the vault, or one of its versions.
    pub fn reference(&self, name: &str, version: Option<&str>) -> String {
        let version = version.map_or_else(String::new, |version| format!("/{version}"));
        format!("https://{}/certificates/{name}{version}", self.vault)
    }

    /// Where tokens are asked for.
    pub fn metadata(&self) -> String {
        format!("http://{}", self.metadata)
    }

    /// Adds a version of a certificate, which is the newest from now on, and says what it is called.
    pub fn put(&self, name: &str, version: Version) -> String {
        let mut state = locked(&self.state);
        state.made += 1;
        let id = format!("{:032x}", state.made);
        let versions = state.certificates.entry(name.to_owned()).or_default();
        versions.push((id.clone(), version));
        id
    }

    /// From now on all versions of a certificate may be used, or none.
    pub fn enable(&self, name: &str, enabled: bool) {
        let mut state = locked(&self.state);
        for (_, version) in state.certificates.entry(name.to_owned()).or_default() {
            version.enabled = enabled;
        }
    }

    /// The next answers of a part fail in this way.
    pub fn fail(&self, part: Part, failure: Failure, times: usize) {
        let mut state = locked(&self.state);
        let failures = state.failures.entry(part).or_default();
        failures.extend(std::iter::repeat_n(failure, times));
    }

    /// No answer fails any more.
    pub fn mend(&self) {
        locked(&self.state).failures.clear();
    }

    /// The vault answers so much later from now on.
    pub fn delay(&self, delay: Duration) {
        locked(&self.state).delay = delay;
    }

    /// Tokens are given for this identity only, by the name of its parameter and its value.
    pub fn assign(&self, parameter: &str, id: &str) {
        locked(&self.state).identity = Some((parameter.to_owned(), id.to_owned()));
    }

    /// The vault wants tokens for this audience from now on.
    pub fn want_audience(&self, audience: &str) {
        audience.clone_into(&mut locked(&self.state).audience);
    }

    /// Tokens live for so many seconds from now on.
    pub fn token_life(&self, seconds: u32) {
        locked(&self.state).life = seconds;
    }

    /// No token of before is taken any more.
    pub fn revoke_tokens(&self) {
        locked(&self.state).token += 1;
    }

    /// Who gives tokens is the agent of Azure Arc from now on, which has this folder.
    pub fn be_arc(&self, folder: &Path) {
        locked(&self.state).arc = Some(Agent {
            folder: folder.to_owned(),
            asked: 0,
            shown: None,
        });
    }

    /// Whether our identity may sign.
    pub fn may_sign(&self, may: bool) {
        locked(&self.state).may_sign = may;
    }

    /// How many requests there were whose method and path have this text.
    pub fn asked(&self, text: &str) -> usize {
        let state = locked(&self.state);
        state.asked.iter().filter(|line| line.contains(text)).count()
    }
}

impl Drop for KeyVault {
    fn drop(&mut self) {
        for (socket, listener) in self.listeners.drain(..) {
            // No connection would wake it where it listens in another namespace.
            if shutdown(socket.as_raw_fd(), Shutdown::Both).is_ok() {
                let _ = listener.join();
            }
        }
    }
}

impl Version {
    /// Of a certificate of the lab, which may leave the vault as PEM if it is exportable.
    ///
    /// # Errors
    /// When its key cannot be read.
    pub fn of(issued: &Issued, exportable: bool) -> Result<Self> {
        let key = PrivateKeyDer::from_pem_slice(issued.key_pem().as_bytes()).context("a key of the lab")?;
        let mut pem = if exportable {
            issued.key_pem()
        } else {
            String::new()
        };
        pem.push_str(&issued.pem());
        for above in issued.above() {
            pem.push_str(&above.pem());
        }
        Ok(Self {
            certificate: issued.der().to_vec(),
            key: key.secret_der().to_vec(),
            secret: Secret::Pem(pem),
            exportable,
            enabled: true,
        })
    }
}

impl State {
    fn new(authority: String) -> Self {
        Self {
            authority,
            certificates: BTreeMap::new(),
            made: 0,
            failures: BTreeMap::new(),
            delay: Duration::ZERO,
            identity: None,
            audience: AUDIENCE.to_owned(),
            life: 3600,
            token: 1,
            arc: None,
            may_sign: true,
            asked: Vec::new(),
        }
    }
}

fn secured(issued: &Issued) -> Result<ServerConfig> {
    let key = PrivateKeyDer::from_pem_slice(issued.key_pem().as_bytes()).context("a key of the lab")?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let chain = vec![CertificateDer::from(issued.der().to_vec())];
    Ok(builder.with_no_client_auth().with_single_cert(chain, key)?)
}

fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
