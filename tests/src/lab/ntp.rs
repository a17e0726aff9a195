//! A real server of the time by NTP.

use std::fs;
use std::process::Command;

use anyhow::Result;

use super::namespace::Namespace;
use super::process::Process;
use super::run::Run;

/// A server that tells the time of this machine; it ends when dropped.
pub struct NtpServer {
    process: Process,
}

impl NtpServer {
    /// Starts one at every address of a namespace. It sets no clock.
    ///
    /// # Errors
    /// When `chronyd` is missing.
    pub fn start(run: &Run, namespace: &Namespace) -> Result<Self> {
        let folder = run.folder().join(format!("{}-ntp", namespace.name()));
        fs::create_dir_all(&folder)?;
        let configuration = folder.join("chrony.conf");
        let text = format!(
            "local stratum 8\nallow all\ncmdport 0\nbindcmdaddress /\npidfile {}\n",
            folder.join("pid").display(),
        );
        fs::write(&configuration, text)?;
        let mut command = Command::new("chronyd");
        command.args(["-x", "-d", "-u", "root", "-f"]).arg(&configuration);
        let process = namespace.spawn(&format!("{}-ntp", namespace.name()), &mut command)?;
        Ok(Self { process })
    }

    /// All that it printed.
    pub fn log(&self) -> String {
        self.process.log()
    }
}
