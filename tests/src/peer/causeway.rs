//! Causeway as a party: the release build of `causewayd`, spoken to through `causeway`.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use serde_json::Value;

pub use super::document::{Document, document};
use super::tunnel::{Datapath, Tunnel};
use crate::lab::namespace::Namespace;
use crate::lab::process::Process;
use crate::lab::run::Run;
use crate::lab::wait;

/// Time for anything that should come about at once, on an emulated machine too.
pub const SOON: Duration = Duration::from_secs(60);
/// Time for the daemon to say that it is ready.
const READY: Duration = Duration::from_secs(30);

/// A Causeway gateway.
pub struct Causeway {
    process: Process,
    gateway: Namespace,
    folder: PathBuf,
    datapath: Datapath,
    source: Source,
}

/// Where a gateway has its configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    /// In its file alone, which [`Causeway::reload`] replaces.
    File,
    /// In its store, which began with the file; [`Causeway::causeway`] changes it.
    Store,
}

impl Causeway {
    /// Starts a gateway with one tunnel, called `peer`, and waits until it is ready.
    ///
    /// # Errors
    /// When it does not start; the error carries its log.
    pub fn start(run: &Run, gateway: &Namespace, tunnel: &Tunnel, datapath: Datapath) -> Result<Self> {
        Self::with_document(run, gateway, &document(&[("peer", tunnel)]), datapath)
    }

    /// Starts a gateway with a whole document.
    ///
    /// # Errors
    /// When it does not start; the error carries its log.
    pub fn with_document(
        run: &Run,
        gateway: &Namespace,
        document: &Document,
        datapath: Datapath,
    ) -> Result<Self> {
        Self::begin(run, gateway, document, (datapath, Source::File))
    }

    /// Starts a gateway whose store begins with this document.
    ///
    /// # Errors
    /// When it does not start; the error carries its log.
    pub fn with_store(
        run: &Run,
        gateway: &Namespace,
        document: &Document,
        datapath: Datapath,
    ) -> Result<Self> {
        Self::begin(run, gateway, document, (datapath, Source::Store))
    }

    /// Starts a gateway whose store begins with this document, with more in its environment; `prepare` is given the folder
    /// of its state, which it may write to, and says what.
    ///
    /// # Errors
    /// When it does not start; the error carries its log.
    pub fn with_environment(
        run: &Run,
        gateway: &Namespace,
        (document, datapath): (&Document, Datapath),
        prepare: impl FnOnce(&Path) -> Result<Vec<(&'static str, String)>>,
    ) -> Result<Self> {
        let folder = run.folder().join(gateway.name());
        let state = folder.join("state");
        fs::create_dir_all(&state)?;
        fs::set_permissions(&state, Permissions::from_mode(0o700))?;
        let lines = prepare(&state)?.into_iter();
        let lines: String = lines.map(|(name, value)| format!("{name}={value}\n")).collect();
        fs::write(folder.join(ENVIRONMENT), lines)?;
        Self::with_store(run, gateway, document, datapath)
    }

    fn begin(
        run: &Run,
        gateway: &Namespace,
        document: &Document,
        (datapath, source): (Datapath, Source),
    ) -> Result<Self> {
        let folder = run.folder().join(gateway.name());
        fs::create_dir_all(folder.join("secrets"))?;
        document.write(&folder)?;
        let process = start(gateway, &folder, (datapath, source))?;
        Ok(Self {
            process,
            gateway: gateway.clone(),
            folder,
            datapath,
            source,
        })
    }

    /// Starts a gateway with a whole document, which has names looked up by this server and no other.
    ///
    /// # Errors
    /// When it does not start; the error carries its log.
    pub fn with_resolver(
        run: &Run,
        gateway: &Namespace,
        document: &Document,
        (datapath, server): (Datapath, Ipv4Addr),
    ) -> Result<Self> {
        let folder = run.folder().join(gateway.name());
        fs::create_dir_all(&folder)?;
        fs::write(folder.join(RESOLVER.0), resolver(server))?;
        Self::with_document(run, gateway, document, datapath)
    }

    /// Starts a gateway whose store begins with this document, and whose `nft` is its own, which [`Causeway::replace_nft`]
    /// replaces.
    ///
    /// # Errors
    /// When it does not start; the error carries its log.
    pub fn with_own_nft(
        run: &Run,
        gateway: &Namespace,
        document: &Document,
        datapath: Datapath,
    ) -> Result<Self> {
        let folder = run.folder().join(gateway.name());
        fs::create_dir_all(&folder)?;
        fs::copy(NFT.1, folder.join(NFT.0))?;
        Self::with_store(run, gateway, document, datapath)
    }

    /// Has it find this program as `nft` from now on, or the real one again.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn replace_nft(&self, script: Option<&str>) -> Result<()> {
        let file = self.folder.join(NFT.0);
        match script {
            Some(script) => fs::write(file, script)?,
            None => drop(fs::copy(NFT.1, file)?),
        }
        Ok(())
    }

    /// Has it look names up by another server from now on.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn resolve_by(&self, server: Ipv4Addr) -> Result<()> {
        Ok(fs::write(self.folder.join(RESOLVER.0), resolver(server))?)
    }

    /// Starts it again with the same files after it ended.
    ///
    /// # Errors
    /// When it does not start; the error carries its log.
    pub fn restart(&mut self) -> Result<()> {
        self.process = start(&self.gateway, &self.folder, (self.datapath, self.source))?;
        Ok(())
    }

    /// The whole status.
    ///
    /// # Errors
    /// When the daemon does not answer.
    pub fn status(&self) -> Result<Value> {
        let text = self.causeway(&["status", "--json"])?;
        serde_json::from_str(&text).with_context(|| format!("status is not JSON: {text}"))
    }

    /// The status of one connection.
    ///
    /// # Errors
    /// When the daemon does not answer or has no such connection.
    pub fn connection(&self, name: &str) -> Result<Value> {
        let status = self.status()?;
        status
            .pointer(&format!("/connections/{name}"))
            .cloned()
            .with_context(|| format!("no {name}: {status}"))
    }

    /// How the BGP neighbour of a connection stands.
    ///
    /// # Errors
    /// When the daemon does not answer or has no such neighbour.
    pub fn neighbour(&self, name: &str) -> Result<Value> {
        let text = self.causeway(&["bgp", "peers", name, "--json"])?;
        serde_json::from_str(&text).with_context(|| format!("not JSON: {text}"))
    }

    /// Waits until a connection's state is `up`, `connecting` or `down`, and returns its status.
    ///
    /// # Errors
    /// With the status it has instead.
    pub fn wait_for(&self, name: &str, state: &str) -> Result<Value> {
        wait::until(&format!("{name} to be {state}"), SOON, || {
            let connection = self.connection(name)?;
            let found = connection.get("state").and_then(Value::as_str);
            ensure!(found == Some(state), "{connection}");
            Ok(connection)
        })
    }

    /// Has it start a connection.
    ///
    /// # Errors
    /// What the command line says.
    pub fn connect(&self, name: &str) -> Result<()> {
        self.causeway(&["connect", name]).map(|_| ())
    }

    /// Has it replace the keys of a connection: those of the IKE SA, or those that carry traffic.
    ///
    /// # Errors
    /// What the command line says.
    pub fn rekey(&self, name: &str, ike: bool) -> Result<()> {
        let arguments = if ike {
            &["rekey", name, "--ike"][..]
        } else {
            &["rekey", name]
        };
        self.causeway(arguments).map(|_| ())
    }

    /// Puts another document in place of the present one and tells the daemon.
    ///
    /// # Errors
    /// When the daemon is gone.
    pub fn reload(&self, document: &Document) -> Result<()> {
        document.write(&self.folder)?;
        self.process.signal(Signal::SIGHUP)
    }

    /// Stops it in an orderly way.
    ///
    /// # Errors
    /// When it does not end.
    pub fn stop(&mut self) -> Result<ExitStatus> {
        self.process.terminate(SOON)
    }

    /// Ends it without a chance to tidy up.
    ///
    /// # Errors
    /// When it is gone already.
    pub fn kill(&mut self) -> Result<()> {
        self.process.kill()
    }

    /// Has it end as a fault in it would end it.
    ///
    /// # Errors
    /// When it does not end.
    pub fn abort(&mut self) -> Result<ExitStatus> {
        self.process.signal(Signal::SIGABRT)?;
        self.process.wait(SOON)
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// All that its processes logged, over restarts.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// The socket on which it tells its status.
    pub fn socket(&self) -> PathBuf {
        self.folder.join("runtime/control.sock")
    }

    /// What another daemon says before it gives up: one with the same files but a place of its own to run in, started
    /// by the words `under`, if any, such as `setpriv …`.
    ///
    /// # Errors
    /// When it does not give up.
    pub fn another(&self, under: &[&str]) -> Result<String> {
        let plain = daemon(&self.folder, "another", (self.datapath, self.source))?;
        let words: Vec<&OsStr> = under.iter().map(OsStr::new).collect();
        let words = words
            .into_iter()
            .chain([plain.get_program()])
            .chain(plain.get_args());
        let mut words = words.map(OsStr::to_owned);
        let mut command = Command::new(words.next().context("no program")?);
        command.args(words).env("NO_COLOR", "1");
        let mut another = self
            .gateway
            .spawn(&format!("{}-another", self.gateway.name()), &mut command)?;
        let status = another.wait(READY)?;
        ensure!(
            !status.success(),
            "another daemon ended as if all were well: {}",
            another.log()
        );
        Ok(another.log())
    }

    /// Removes all that daemons left in the gateway, unreachable routes too.
    ///
    /// # Errors
    /// What it says.
    pub fn remove(&self) -> Result<()> {
        let program = binary("causewayd")?;
        let runtime = self.folder.join("runtime");
        let arguments = ["--remove", "--runtime", &runtime.to_string_lossy()];
        self.gateway
            .run(&program.to_string_lossy(), &arguments)
            .map(|_| ())
    }

    /// Commits a document by the command line, with these flags.
    ///
    /// # Errors
    /// What the command line says.
    pub fn commit(&self, json: &Value, flags: &[&str]) -> Result<Value> {
        self.propose("commit", json, flags)
    }

    /// What a document would do, by the command line.
    ///
    /// # Errors
    /// What the command line says.
    pub fn check(&self, json: &Value) -> Result<Value> {
        self.propose("check", json, &[])
    }

    fn propose(&self, verb: &str, json: &Value, flags: &[&str]) -> Result<Value> {
        let path = self.folder.join("proposal.json");
        fs::write(&path, json.to_string())?;
        let path = path.to_string_lossy();
        let arguments = [&["config", verb, &path, "--json"], flags].concat();
        let text = self.causeway(&arguments)?;
        serde_json::from_str(&text).with_context(|| format!("not JSON: {text}"))
    }

    /// Runs the command line. Exit status 1 means that it did what it was told and not all tunnels are up.
    ///
    /// # Errors
    /// What the command line says.
    pub fn causeway(&self, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new(binary("causeway")?);
        command.arg("--socket").arg(self.socket()).args(arguments);
        let output = command.output().context("starting causeway")?;
        let (said, complained) = (
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
        let done = matches!(output.status.code(), Some(0 | 1));
        ensure!(done, "causeway {}: {said}{complained}", arguments.join(" "));
        Ok(said.into_owned())
    }
}

/// A binary of the release profile, beside the one that runs.
///
/// # Errors
/// When it was not built.
pub fn binary(name: &str) -> Result<PathBuf> {
    let here = std::env::current_exe()?;
    let places = here.ancestors().map(|folder| folder.join("release").join(name));
    let found = places.into_iter().find(|path| path.is_file());
    found.with_context(|| format!("{name} is not built: cargo build --release -p causewayd -p causeway"))
}

/// Lines of what is in the environment of a daemon, in its folder.
const ENVIRONMENT: &str = "environment";

/// Of a machine with slots for firmware, in its folder: what `/etc/start` of the image lays out in `/run/image`.
const IMAGE: &str = "image";

/// Files that take the place of the system's if they are in a gateway's folder: their names there, and whose place it is.
const RESOLVER: (&str, &str) = ("resolv.conf", "/etc/resolv.conf");
const NFT: (&str, &str) = ("nft", "/usr/sbin/nft");

fn resolver(server: Ipv4Addr) -> String {
    format!("nameserver {server}\noptions timeout:1\n")
}

/// The daemon, with those files of its folder that take the place of the system's.
fn daemon(folder: &Path, runtime: &str, (datapath, source): (Datapath, Source)) -> Result<Command> {
    let program = binary("causewayd")?;
    let own = [RESOLVER, NFT].map(|(name, place)| (folder.join(name), place));
    let own: Vec<_> = own.into_iter().filter(|(file, _)| file.exists()).collect();
    let image = folder.join(IMAGE);
    let mut command = if own.is_empty() && !image.exists() {
        Command::new(program)
    } else {
        let mut command = Command::new("unshare");
        let script =
            r#"while [ "$1" != -- ]; do mount --bind "$1" "$2" || exit 1; shift 2; done; shift; exec "$@""#;
        command.args(["--mount", "--uts", "sh", "-c", script, "sh"]);
        for (file, place) in own {
            command.arg(file).arg(place);
        }
        command.arg("--").arg(program);
        command
    };
    match source {
        Source::File => command.arg("--config-only"),
        Source::Store => command.arg("--state").arg(folder.join("state")).arg("--config"),
    };
    command.arg(folder.join("causeway.json"));
    command.arg("--secrets").arg(folder.join("secrets"));
    command.arg("--runtime").arg(folder.join(runtime));
    if image.exists() {
        command.arg("--image").arg(image);
    }
    let environment = fs::read_to_string(folder.join(ENVIRONMENT)).unwrap_or_default();
    command.envs(environment.lines().filter_map(|line| line.split_once('=')));
    command
        .args(["--datapath", &datapath.to_string()])
        .env("RUST_LOG", "info")
        .env("NO_COLOR", "1");
    Ok(command)
}

/// Starts the daemon and waits for its word to the service manager.
fn start(gateway: &Namespace, folder: &Path, how: (Datapath, Source)) -> Result<Process> {
    let notify = folder.join("notify.sock");
    let _left_by_the_one_before = fs::remove_file(&notify);
    let socket = UnixDatagram::bind(&notify)?;
    socket.set_nonblocking(true)?;
    let mut command = daemon(folder, "runtime", how)?;
    command.env("NOTIFY_SOCKET", &notify);
    let mut process = gateway.spawn(&format!("{}-causewayd", gateway.name()), &mut command)?;
    let mut word = [0_u8; 256];
    let ready = wait::until("causewayd to be ready", READY, || {
        let length = socket.recv(&mut word).context("no word from it")?;
        let word = String::from_utf8_lossy(word.get(..length).unwrap_or_default()).into_owned();
        ensure!(word.contains("READY=1"), "it said {word}");
        Ok(())
    });
    let ended = process.ended()?;
    ready.with_context(|| format!("end: {ended:?}, log: {}", process.log()))?;
    Ok(process)
}
