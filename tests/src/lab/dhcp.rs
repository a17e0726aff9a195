//! A real DHCP server.

use std::fs;
use std::net::Ipv4Addr;
use std::process::Command;

use anyhow::Result;

use super::namespace::Namespace;
use super::process::Process;
use super::run::Run;

/// A server that has one address to give; it ends when dropped.
pub struct DhcpServer {
    process: Process,
}

/// What it gives away.
#[derive(Clone, Copy, Debug)]
pub struct Grant {
    /// The address.
    pub address: Ipv4Addr,
    /// The router, and the server for names and for the time.
    pub router: Ipv4Addr,
    /// For how many seconds.
    pub seconds: u32,
}

impl DhcpServer {
    /// Starts one on a link. It remembers nothing of one before it.
    ///
    /// # Errors
    /// When `busybox` is missing.
    pub fn start(run: &Run, namespace: &Namespace, link: &str, grant: Grant) -> Result<Self> {
        let folder = run.folder().join(format!("dhcp-{}", grant.address));
        fs::create_dir_all(&folder)?;
        let (leases, configuration) = (folder.join("leases"), folder.join("udhcpd.conf"));
        fs::write(&leases, "")?;
        let Grant {
            address,
            router,
            seconds,
        } = grant;
        let text = format!(
            "start {address}\nend {address}\ninterface {link}\nlease_file {}\npidfile {}\n\
             option subnet 255.255.255.0\noption router {router}\noption dns {router}\noption ntpsrv {router}\n\
             option lease {seconds}\n",
            leases.display(),
            folder.join("pid").display(),
        );
        fs::write(&configuration, text)?;
        let mut command = Command::new("busybox");
        command.args(["udhcpd", "-f"]).arg(&configuration);
        let process = namespace.spawn(&format!("{}-dhcp", namespace.name()), &mut command)?;
        Ok(Self { process })
    }

    /// All that it printed.
    pub fn log(&self) -> String {
        self.process.log()
    }
}
