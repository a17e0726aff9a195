//! Programs that run beside a test and end with it.

use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::wait;

/// What a process occupies, in octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Now (`VmRSS`).
    pub resident: u64,
    /// Of that, what it shares with no file (`RssAnon`).
    pub anonymous: u64,
    /// The most that it ever occupied (`VmHWM`).
    pub peak: u64,
}

/// Looks at the memory of a process.
///
/// # Errors
/// When it is gone.
pub fn memory(process: u32) -> Result<Memory> {
    let path = format!("/proc/{process}/status");
    let text = fs::read_to_string(&path).with_context(|| path.clone())?;
    let octets = |name: &str| -> Result<u64> {
        let value = text.lines().find_map(|line| line.strip_prefix(name));
        let kib = value.and_then(|value| value.trim().strip_suffix(" kB"));
        let kib: u64 = kib.with_context(|| format!("no {name} in {path}"))?.parse()?;
        Ok(kib * 1024)
    };
    Ok(Memory {
        resident: octets("VmRSS:")?,
        anonymous: octets("RssAnon:")?,
        peak: octets("VmHWM:")?,
    })
}

/// A running program. It is killed when this is dropped, and by the kernel when the thread that started it dies.
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a command with its output in a file.
    pub(super) fn start(command: &Command, log: PathBuf) -> Result<Self> {
        let file = File::options().create(true).append(true).open(&log)?;
        let mut guarded = Command::new("setpriv");
        guarded
            .args(["--pdeathsig", "KILL", "--"])
            .arg(command.get_program())
            .args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => guarded.env(name, value),
                None => guarded.env_remove(name),
            };
        }
        guarded
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file);
        let child = guarded.spawn().context("starting setpriv")?;
        Ok(Self { child, log })
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// All that it printed so far.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// When it is gone already.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let id = i32::try_from(self.child.id())?;
        kill(Pid::from_raw(id), signal).with_context(|| format!("sending {signal} to process {id}"))
    }

    /// How it ended, when it has.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When it is still there after `limit`.
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let id = self.child.id();
        wait::until(&format!("the end of process {id}"), limit, || {
            self.child.try_wait()?.ok_or_else(|| anyhow!("it still runs"))
        })
    }

    /// Asks it to end and waits.
    ///
    /// # Errors
    /// When it does not end within `limit`.
    pub fn terminate(&mut self, limit: Duration) -> Result<ExitStatus> {
        self.signal(Signal::SIGTERM)?;
        self.wait(limit)
    }

    /// Ends it without a chance to tidy up.
    ///
    /// # Errors
    /// When it is gone already.
    pub fn kill(&mut self) -> Result<()> {
        self.signal(Signal::SIGKILL)?;
        let status = self.child.wait()?;
        anyhow::ensure!(status.signal() == Some(9), "it had ended by itself: {status}");
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _already_gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}
