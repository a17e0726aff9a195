//! BIRD 2 as a peer: a process of its own with its own configuration, control socket and log.

use std::fmt::Write as _;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::router::{Router, Session, Standing, give};
use crate::lab::namespace::Namespace;
use crate::lab::process::Process;
use crate::lab::run::Run;
use crate::lab::wait;

/// The user that it runs as.
const USER: &str = "bird";
/// Time for it to start or to end, on an emulated machine too.
const START: Duration = Duration::from_secs(30);

/// A BIRD that runs.
pub struct Bird {
    process: Process,
    namespace: Namespace,
    folder: PathBuf,
    router: Router,
}

impl Bird {
    /// Starts it in a namespace and waits until it answers.
    ///
    /// # Errors
    /// When it does not start; the error carries its log.
    pub fn start(run: &Run, namespace: &Namespace, router: &Router) -> Result<Self> {
        let folder = run.folder().join(format!("{}-bird", namespace.name()));
        give(&folder, USER)?;
        fs::write(folder.join("bird.conf"), configuration(router, &folder))?;
        let mut bird = Self {
            process: bird(namespace, &folder, false)?,
            namespace: namespace.clone(),
            folder,
            router: router.clone(),
        };
        bird.answers()?;
        Ok(bird)
    }

    /// Has it announce these prefixes and no others as its own.
    ///
    /// # Errors
    /// When it does not take that.
    pub fn announce(&mut self, networks: &[String]) -> Result<()> {
        networks.clone_into(&mut self.router.networks);
        let text = configuration(&self.router, &self.folder);
        fs::write(self.folder.join("bird.conf"), text)?;
        let said = self.birdc(&["configure"])?;
        ensure!(said.contains("Reconfig"), "{said}");
        Ok(())
    }

    /// Starts it again with the same files after it ended, as one that kept forwarding meanwhile (RFC 4724).
    ///
    /// # Errors
    /// When it does not start; the error carries its log.
    pub fn restart(&mut self) -> Result<()> {
        self.process = bird(&self.namespace, &self.folder, true)?;
        self.answers()
    }

    /// How its session with this address stands.
    ///
    /// # Errors
    /// When it does not answer or has no such session.
    pub fn session(&self, remote: IpAddr) -> Result<Standing> {
        let words = self.birdc(&["show", "protocols", "all", &protocol(remote)])?;
        let after = |name: &str| {
            let mut lines = words.lines().map(str::trim);
            lines
                .find_map(|line| line.strip_prefix(name))
                .map(str::trim)
                .map(str::to_owned)
        };
        let state = after("BGP state:").with_context(|| words.clone())?;
        let routes = after("Routes:").unwrap_or_default();
        let received = routes.split(' ').next().and_then(|count| count.parse().ok());
        Ok(Standing {
            state,
            received: received.unwrap_or_default(),
            words,
        })
    }

    /// What it says of its routes to a prefix, with all attributes.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn routes(&self, prefix: &str) -> Result<String> {
        self.birdc(&["show", "route", "for", prefix, "all"])
    }

    /// What it says of the routes that it sends to this address, with all attributes.
    ///
    /// # Errors
    /// When it does not answer or has no such session.
    pub fn exported(&self, remote: IpAddr) -> Result<String> {
        self.birdc(&["show", "route", "export", &protocol(remote), "all"])
    }

    /// Ends its session with this address in an orderly way and begins it anew.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn reset(&self, remote: IpAddr) -> Result<()> {
        self.birdc(&["restart", &protocol(remote)]).map(|_| ())
    }

    /// Ends it without a word to its peers; its kernel keeps the routes.
    ///
    /// # Errors
    /// When it is gone already.
    pub fn kill(&mut self) -> Result<()> {
        self.process.kill()
    }

    /// Stops it in an orderly way.
    ///
    /// # Errors
    /// When it does not end.
    pub fn stop(&mut self) -> Result<()> {
        self.process.terminate(START).map(|_| ())
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// What it logged.
    pub fn log(&self) -> String {
        self.process.log()
    }

    fn answers(&mut self) -> Result<()> {
        wait::until("BIRD to answer", START, || {
            ensure!(
                self.process.ended()?.is_none(),
                "it ended: {}",
                self.process.log()
            );
            self.birdc(&["show", "status"])
        })?;
        Ok(())
    }

    fn birdc(&self, arguments: &[&str]) -> Result<String> {
        let output = Command::new("birdc")
            .arg("-s")
            .arg(self.folder.join("bird.ctl"))
            .args(arguments)
            .output()
            .context("starting birdc")?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let complained = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success() && !said.contains("syntax error"),
            "birdc {}: {said}{complained}",
            arguments.join(" ")
        );
        Ok(said)
    }
}

fn bird(namespace: &Namespace, folder: &Path, recovers: bool) -> Result<Process> {
    let mut command = Command::new("/usr/sbin/bird");
    command.arg("-f").args(["-u", USER, "-g", USER]);
    command.args(recovers.then_some("-R"));
    command.arg("-c").arg(folder.join("bird.conf"));
    command.arg("-s").arg(folder.join("bird.ctl"));
    command.arg("-P").arg(folder.join("bird.pid"));
    namespace.spawn(&format!("{}-bird", namespace.name()), &mut command)
}

/// What the configuration calls the session with this address.
fn protocol(remote: IpAddr) -> String {
    let name = remote.to_string().replace(['.', ':'], "_");
    format!("peer_{name}")
}

fn configuration(router: &Router, folder: &Path) -> String {
    let (id, log) = (router.id, folder.join("bird.log"));
    let mut text = format!(
        "log \"{}\" {{ warning, error, fatal, bug, auth, remote }};\n\
         router id {id};\nprotocol device {{ }}\n",
        log.display()
    );
    if router.kernel {
        text.push_str(
            "protocol kernel { merge paths on; graceful restart; persist;\n  \
             ipv4 { import none; export where source = RTS_BGP; }; }\n",
        );
    }
    if router.sessions.iter().any(|session| session.bfd) {
        text.push_str("protocol bfd { multihop { interval 300 ms; multiplier 3; }; }\n");
    }
    text.push_str("protocol static own_prefixes { ipv4;\n");
    for network in &router.networks {
        let _always_fits = writeln!(text, "  route {network} blackhole;");
    }
    text.push_str("}\n");
    text.push_str(&router.words);
    text.push_str("protocol static far_ends { ipv4;\n");
    for Session { remote, link, .. } in &router.sessions {
        if let Some(link) = link {
            let _always_fits = writeln!(text, "  route {remote}/32 via \"{link}\";");
        }
    }
    text.push_str("}\n");
    let sessions = router.sessions.iter();
    text.extend(sessions.map(|session| peer(session, router)));
    text
}

fn peer(session: &Session, router: &Router) -> String {
    let Session {
        local,
        remote,
        asn,
        hold_time,
        bfd,
        words,
        channel,
        ..
    } = session;
    let (name, own, time) = (protocol(*remote), router.asn, router.restart_time);
    let word = |on| if on { "on" } else { "off" };
    let (passive, bfd) = (word(session.passive), word(*bfd));
    // What is reached by a link that holds no network of it is no neighbour on that link to BIRD.
    let (hops, gateway) = match session.link {
        Some(_) => ("multihop 2", "recursive"),
        None => ("direct", "direct"),
    };
    format!(
        "protocol bgp {name} {{
  local {local} as {own};
  neighbor {remote} as {asn};
  passive {passive};
  {hops};
  hold time {hold_time};
  bfd {bfd};
  connect delay time 1;
  connect retry time 2;
  error wait time 1, 2;
  graceful restart on;
  graceful restart time {time};
  {words}
  ipv4 {{ import all; next hop self; gateway {gateway}; {channel}
    export where source = RTS_BGP || proto ~ \"own_*\"; }};
}}
"
    )
}
