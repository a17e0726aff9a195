//! Network namespaces.

use std::fs::{self, File};
use std::io::{self, Write};
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, bail, ensure};
use nix::sched::{CloneFlags, setns};

use super::process::Process;
use super::run::Run;

/// A network namespace of one run.
#[derive(Clone)]
pub struct Namespace {
    name: String,
    folder: PathBuf,
}

/// While it lives, the thread that made it is inside the namespace.
pub struct Inside {
    outside: File,
    /// Entering binds a thread, so this stays on it.
    _not_send: std::marker::PhantomData<*const ()>,
}

impl Namespace {
    /// Makes a namespace with its loopback up.
    ///
    /// # Errors
    /// When `ip` is missing or refuses.
    pub fn new(run: &Run, name: &str) -> Result<Self> {
        let full = format!("{}-{name}", run.name());
        let output = Command::new("ip")
            .args(["netns", "add", &full])
            .output()
            .context("starting ip")?;
        ensure!(
            output.status.success(),
            "ip netns add {full}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let namespace = Self {
            name: full,
            folder: run.folder().to_owned(),
        };
        namespace.ip(&["link set lo up"])?;
        // An IPv6 address is of use at once.
        namespace.set("ipv6/conf/default/accept_dad", "0")?;
        Ok(namespace)
    }

    /// The name under which `ip netns` knows it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Brings the calling thread inside until the answer is dropped.
    ///
    /// # Errors
    /// When the namespace is gone.
    pub fn enter(&self) -> Result<Inside> {
        let outside = File::open("/proc/thread-self/ns/net").context("opening our own namespace")?;
        let inside = File::open(format!("/run/netns/{}", self.name))
            .with_context(|| format!("opening namespace {}", self.name))?;
        setns(&inside, CloneFlags::CLONE_NEWNET).context("entering a namespace")?;
        Ok(Inside {
            outside,
            _not_send: std::marker::PhantomData,
        })
    }

    /// Runs several `ip` commands, written without the word `ip`, in one process.
    ///
    /// # Errors
    /// What `ip` says of the first that fails.
    pub fn ip(&self, commands: &[&str]) -> Result<()> {
        self.feed("ip", &["-batch", "-"], &commands.join("\n"))
            .map(|_| ())
    }

    /// Loads an nftables script.
    ///
    /// # Errors
    /// What `nft` says.
    pub fn nft(&self, script: &str) -> Result<()> {
        self.feed("nft", &["-f", "-"], script).map(|_| ())
    }

    /// Runs a program inside, waits for its end and returns what it printed.
    ///
    /// # Errors
    /// When it cannot be started or fails; the error carries its words.
    pub fn run(&self, program: &str, arguments: &[&str]) -> Result<String> {
        self.feed(program, arguments, "")
    }

    /// Runs a program inside and returns its output, whether it succeeded or not.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn output(&self, command: &mut Command) -> Result<Output> {
        let _inside = self.enter()?;
        command
            .output()
            .with_context(|| format!("starting {}", command.get_program().display()))
    }

    /// Starts a program inside; `log` names the file that collects what it prints.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn spawn(&self, log: &str, command: &mut Command) -> Result<Process> {
        let path = self.folder.join(format!("{log}.log"));
        let _inside = self.enter()?;
        Process::start(command, path)
    }

    /// Sets a kernel parameter below `/proc/sys/net`.
    ///
    /// # Errors
    /// When there is no such parameter.
    pub fn set(&self, parameter: &str, value: &str) -> Result<()> {
        let _inside = self.enter()?;
        let path = format!("/proc/sys/net/{parameter}");
        fs::write(&path, value).with_context(|| format!("writing {path}"))
    }

    /// What a counter of the kernel's IPsec has counted here, such as `XfrmInNoStates`; nothing where the kernel has no IPsec.
    ///
    /// # Errors
    /// When there is no such counter.
    pub fn xfrm_statistic(&self, counter: &str) -> Result<usize> {
        let _inside = self.enter()?;
        let told = match fs::read_to_string("/proc/thread-self/net/xfrm_stat") {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            told => told?,
        };
        let mut words = told.split_whitespace().skip_while(|word| *word != counter);
        let counted = words.nth(1).with_context(|| format!("no {counter}"))?;
        Ok(counted.parse()?)
    }

    /// Lets the namespace pass packets on, whatever way they come.
    ///
    /// # Errors
    /// When the parameters cannot be set.
    pub fn forward(&self, links: &[&str]) -> Result<()> {
        self.set("ipv4/ip_forward", "1")?;
        self.set("ipv6/conf/all/forwarding", "1")?;
        for link in ["all", "default"].iter().chain(links) {
            self.set(&format!("ipv4/conf/{link}/rp_filter"), "0")?;
        }
        Ok(())
    }

    /// Whether an address answers one ping within a second.
    pub fn reaches(&self, address: IpAddr) -> bool {
        let address = address.to_string();
        self.run("ping", &["-c", "1", "-W", "1", &address]).is_ok()
    }

    fn feed(&self, program: &str, arguments: &[&str], input: &str) -> Result<String> {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = {
            let _inside = self.enter()?;
            command.spawn().with_context(|| format!("starting {program}"))?
        };
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(input.as_bytes())?;
        }
        let output = child.wait_with_output()?;
        let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        if !output.status.success() {
            let words = format!("{} {}", said(&output.stdout), said(&output.stderr));
            bail!("{program} {} in {}: {words}", arguments.join(" "), self.name);
        }
        Ok(said(&output.stdout))
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        let back = setns(&self.outside, CloneFlags::CLONE_NEWNET);
        assert!(back.is_ok(), "a thread could not leave a namespace: {back:?}");
    }
}
