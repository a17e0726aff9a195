//! strongSwan as a peer: `charon-systemd` with its own configuration, control socket and log.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::credentials::{Credentials, PRE_SHARED};
use super::tunnel::{Datapath, Lines, Ppk, Tunnel};
use crate::lab::namespace::Namespace;
use crate::lab::process::Process;
use crate::lab::run::Run;
use crate::lab::wait;

/// What charon loads but for the plugins that carry ESP.
const PLUGINS: &str = "random nonce openssl pem pkcs1 pkcs8 x509 pubkey revocation constraints hmac kdf curve25519 gcm \
                       aes sha1 sha2 drbg ctr ccm";
/// Interface id of the XFRM interface, in the kernel datapath.
const IF_ID: u32 = 42;
/// The link that leads into the tunnel.
pub const LINK: &str = "ipsec0";
/// The Child SA that every tunnel has.
const FIRST: &str = "net";
/// The metric of a route that is used when there is no other; FRR reads its first octet as the distance 255.
const LAST: u32 = 0xff00_270f;
/// Time for charon to start, on an emulated machine too.
const START: Duration = Duration::from_secs(30);

/// A strongSwan gateway with one tunnel.
pub struct StrongSwan {
    process: Process,
    gateway: Namespace,
    folder: PathBuf,
    children: Vec<&'static str>,
}

impl StrongSwan {
    /// Starts it in a gateway's namespace and loads the tunnel; nothing is initiated. Without the tunnel nothing leaves
    /// for the other site, which strongSwan by itself does not see to.
    ///
    /// # Errors
    /// When it does not start or refuses the configuration.
    pub fn start(run: &Run, gateway: &Namespace, tunnel: &Tunnel, datapath: Datapath) -> Result<Self> {
        if datapath == Datapath::Kernel {
            gateway.ip(&[
                &format!("link add {LINK} type xfrm dev wan if_id {IF_ID}"),
                &format!("link set {LINK} mtu 1400 up"),
            ])?;
        }
        for prefix in tunnel.remote_prefixes() {
            gateway.ip(&[&format!("route add unreachable {prefix} metric 9999")])?;
            if datapath == Datapath::Kernel {
                gateway.ip(&[&format!("route add {prefix} dev {LINK}")])?;
            }
        }
        if let Some(credentials) = &tunnel.credentials {
            credentials.write(&folder(run, gateway).join("swanctl"))?;
        }
        let settings = |folder: &Path| daemon_settings(folder, tunnel, datapath);
        let mut peer = Self::with_configuration(run, gateway, settings, &connections(tunnel, datapath))?;
        if let Some(bgp) = &tunnel.bgp {
            // Its user-space plugin has made a link of the same name by now.
            gateway.ip(&[
                &format!("address add {} peer {} dev {LINK}", bgp.local, bgp.remote),
                &format!("link set {LINK} mtu 1400 up"),
                &format!("route add unreachable {} metric {LAST}", tunnel.remote_prefix),
            ])?;
        }
        peer.children = children(tunnel, datapath)
            .into_iter()
            .map(|child| child.name)
            .collect();
        Ok(peer)
    }

    /// Starts it with a configuration of the caller's: `strongswan.conf`, which must put the control socket at
    /// `vici.sock` in the given folder and the log beside the folder, and `swanctl.conf`.
    ///
    /// # Errors
    /// When it does not start or refuses the configuration.
    pub fn with_configuration(
        run: &Run,
        gateway: &Namespace,
        settings: impl Fn(&Path) -> String,
        connections: &str,
    ) -> Result<Self> {
        let folder = folder(run, gateway);
        fs::create_dir_all(folder.join("swanctl"))?;
        fs::write(folder.join("strongswan.conf"), settings(&folder))?;
        fs::write(folder.join("swanctl/swanctl.conf"), connections)?;
        let mut peer = Self {
            process: charon(gateway, &folder)?,
            gateway: gateway.clone(),
            folder,
            children: vec![FIRST],
        };
        peer.load()?;
        Ok(peer)
    }

    /// Starts it again with the same files after it ended.
    ///
    /// # Errors
    /// When it does not start.
    pub fn restart(&mut self) -> Result<()> {
        self.process = charon(&self.gateway, &self.folder)?;
        self.load()
    }

    fn load(&mut self) -> Result<()> {
        wait::until("strongSwan to take its configuration", START, || {
            ensure!(
                self.process.ended()?.is_none(),
                "charon ended: {}",
                self.process.log()
            );
            self.swanctl(&["--load-all", "--noprompt"])
        })?;
        Ok(())
    }

    /// Reads these settings (`swanctl.conf`), then its own again; what it says of them. No SA is touched.
    ///
    /// # Errors
    /// When it does not take them.
    pub fn try_settings(&mut self, settings: &str) -> Result<String> {
        let file = self.folder.join("others.conf");
        fs::write(&file, settings)?;
        let said = self.swanctl(&["--load-conns", "--file", &file.to_string_lossy()]);
        self.load()?;
        said
    }

    /// Brings the tunnel up from this side.
    ///
    /// # Errors
    /// What strongSwan says why not.
    pub fn initiate(&self) -> Result<String> {
        self.swanctl(&["--initiate", "--child", FIRST, "--timeout", "30"])
    }

    /// Takes the tunnel down from this side.
    ///
    /// # Errors
    /// When there is none.
    pub fn terminate(&self) -> Result<String> {
        self.swanctl(&["--terminate", "--ike", "net", "--timeout", "30"])
    }

    /// Replaces every Child SA from this side.
    ///
    /// # Errors
    /// When one is missing.
    pub fn rekey_child(&self) -> Result<String> {
        let said = self.children.iter();
        said.map(|child| self.swanctl(&["--rekey", "--child", child]))
            .collect()
    }

    /// Replaces the IKE SA from this side.
    ///
    /// # Errors
    /// When there is none.
    pub fn rekey_ike(&self) -> Result<String> {
        self.swanctl(&["--rekey", "--ike", "net"])
    }

    /// Makes a new IKE SA from this side in which both prove anew who they are, and closes the old one after that.
    ///
    /// # Errors
    /// When there is none.
    pub fn reauthenticate(&self) -> Result<String> {
        self.swanctl(&["--rekey", "--ike", "net", "--reauth"])
    }

    /// Sends the peer to another gateway (RFC 5685).
    ///
    /// # Errors
    /// When there is no tunnel, or the peer did not say that it goes elsewhere when told.
    pub fn redirect(&self, to: IpAddr) -> Result<String> {
        self.swanctl(&["--redirect", "--ike", "net", "--gateway", &to.to_string()])
    }

    /// Its security associations, as `swanctl --list-sas` prints them.
    ///
    /// # Errors
    /// When strongSwan does not answer.
    pub fn associations(&self) -> Result<String> {
        self.swanctl(&["--list-sas"])
    }

    /// Packets for which its kernel found no state, up to now: when it has replaced a Child SA, it takes the old state
    /// away a moment before the policy that leads to it. None where the kernel carries no ESP.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn lost(&self) -> Result<usize> {
        self.gateway.xfrm_statistic("XfrmOutNoStates")
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// What it logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.with_extension("log")).unwrap_or_default()
    }

    /// Ends it without a word to its peer.
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

    fn swanctl(&self, arguments: &[&str]) -> Result<String> {
        let socket = format!("unix://{}", self.folder.join("vici.sock").display());
        let output = Command::new("swanctl")
            .args(arguments)
            .args(["--uri", &socket])
            .env("STRONGSWAN_CONF", self.folder.join("strongswan.conf"))
            .env("SWANCTL_DIR", self.folder.join("swanctl"))
            .output()
            .context("starting swanctl")?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let complained = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(
            output.status.success(),
            "swanctl {}: {said}{complained}",
            arguments.join(" ")
        );
        Ok(said)
    }
}

/// Where a gateway's files are.
fn folder(run: &Run, gateway: &Namespace) -> PathBuf {
    run.folder().join(format!("{}-strongswan", gateway.name()))
}

fn charon(gateway: &Namespace, folder: &Path) -> Result<Process> {
    let mut charon = Command::new("/usr/sbin/charon-systemd");
    charon
        .env("STRONGSWAN_CONF", folder.join("strongswan.conf"))
        .env_remove("NOTIFY_SOCKET");
    gateway.spawn(&format!("{}-charon", gateway.name()), &mut charon)
}

fn daemon_settings(folder: &Path, tunnel: &Tunnel, datapath: Datapath) -> String {
    // The first plugin that offers to carry ESP wins; the second is needed for addresses and routes all the same.
    let carriers = match datapath {
        Datapath::Kernel => "kernel-netlink",
        Datapath::User => "kernel-libipsec kernel-netlink",
    };
    let (folder, log) = (
        folder.display(),
        folder.with_extension("log").display().to_string(),
    );
    let fragment_size = tunnel.fragment_size.map(|size| format!("fragment_size = {size}"));
    let fragment_size = fragment_size.unwrap_or_default();
    let credentials = tunnel.credentials.as_deref();
    let signatures = credentials.map(Credentials::daemon_lines).unwrap_or_default();
    // Its user-space plugin routes what passes a tunnel whatever it is told, so that is asked for after all others.
    let routes = if tunnel.bgp.is_some() {
        "routing_table_prio = 40000"
    } else {
        ""
    };
    format!(
        "charon-systemd {{
  load = {PLUGINS} {carriers} socket-default vici updown
  retransmit_timeout = 0.5
  retransmit_base = 1.5
  make_before_break = yes
  i_dont_care_about_security_and_use_aggressive_mode_psk = yes
  {fragment_size}
  {signatures}
  {routes}
  plugins {{
    vici {{ socket = unix://{folder}/vici.sock }}
    kernel-libipsec {{ allow_peer_ts = no }}
  }}
  filelog {{ log {{ path = {log}
    default = 1
    ike = 2
    cfg = 2
    flush_line = yes }} }}
  syslog {{ daemon {{ default = -1 }} }}
  journal {{ default = -1 }}
}}
swanctl {{ load = pem pkcs1 pkcs8 x509 openssl random }}
"
    )
}

fn connections(tunnel: &Tunnel, datapath: Datapath) -> String {
    let Tunnel {
        remote,
        local_id,
        remote_id,
        secret,
        childless,
        version,
        aggressive,
        ..
    } = tunnel;
    let own = tunnel.suite.strongswan_ike();
    let ike = tunnel.offers.map_or(own.as_str(), |(ike, _)| ike);
    let locals = std::iter::once(&tunnel.local).chain(tunnel.mobike.iter().flatten());
    let locals: Vec<_> = locals.map(ToString::to_string).collect();
    let local = locals.join(", ");
    let aggressive = if *aggressive { "yes" } else { "no" };
    let encap = if tunnel.encapsulate { "yes" } else { "no" };
    let upkeep = if tunnel.keeps_up {
        "keyingtries = 0\n  dpd_delay = 3s"
    } else {
        ""
    };
    let credentials = tunnel.credentials.as_deref();
    let by = credentials.map_or(PRE_SHARED.to_owned(), Credentials::local_lines);
    let peer_by = credentials.map_or(PRE_SHARED.to_owned(), Credentials::remote_lines);
    let (named, second) = tunnel.ppk.map(ppk).unwrap_or_default();
    let children: String = children(tunnel, datapath)
        .iter()
        .zip(1..)
        .map(|(child, id)| child.section(id, tunnel, datapath))
        .collect();
    format!(
        "connections {{ net {{
  version = {version}
  aggressive = {aggressive}
  local_addrs = {local}
  remote_addrs = {remote}
  proposals = {ike}
  encap = {encap}
  rekey_time = 0
  childless = {childless}
  {upkeep}
  {named}
  local {{ {by}
    id = \"{local_id}\" }}
  remote {{ {peer_by}
    id = \"{remote_id}\" }}
  children {{ {children} }}
}} }}
secrets {{ ike-1 {{ secret = \"{secret}\" }} {second} }}
"
    )
}

/// A post-quantum preshared key as a connection names it, and as a secret.
fn ppk(Ppk { id, secret, required }: Ppk) -> (String, String) {
    let required = if required { "yes" } else { "no" };
    (
        format!("ppk_id = {id}\n  ppk_required = {required}"),
        format!("ppk-1 {{ id-1 = {id}\n  secret = \"{secret}\" }}"),
    )
}

/// A Child SA as strongSwan is told.
struct Child<'t> {
    name: &'static str,
    local: &'t str,
    remote: &'t str,
}

fn children(tunnel: &Tunnel, datapath: Datapath) -> Vec<Child<'_>> {
    let ours = [tunnel.local_prefix.as_str(), &tunnel.local_second];
    let theirs = [tunnel.remote_prefix.as_str(), &tunnel.remote_second];
    let child = |name, [local, remote]: [_; 2]| Child { name, local, remote };
    match (tunnel.lines, datapath, &tunnel.selectors) {
        (Lines::RouteBased, _, Some((local, remote))) => {
            vec![child(FIRST, [local, remote])]
        }
        // Whoever speaks BGP for it says what is routed here, in user space too.
        (Lines::RouteBased, Datapath::User, None) if tunnel.bgp.is_some() => {
            vec![child(FIRST, ["0.0.0.0/0"; 2])]
        }
        (Lines::RouteBased, Datapath::Kernel, None) => {
            let any = if tunnel.remote_prefix.contains(':') {
                "::/0"
            } else {
                "0.0.0.0/0"
            };
            vec![child(FIRST, [any, any])]
        }
        // Its user-space plugin cannot route any-to-any, so there it asks for the two sites only.
        (Lines::RouteBased, Datapath::User, None) => vec![child(FIRST, [ours[0], theirs[0]])],
        (Lines::PolicyBased, ..) => vec![
            child(FIRST, [ours[0], theirs[0]]),
            child("first-second", [ours[0], theirs[1]]),
            child("second-first", [ours[1], theirs[0]]),
            child("second", [ours[1], theirs[1]]),
        ],
        (Lines::Custom, ..) => vec![
            child(FIRST, [ours[0], theirs[0]]),
            // Its user-space plugin makes nothing on demand.
            child("second", [ours[1], theirs[1]]),
        ],
    }
}

impl Child<'_> {
    /// It has a request id of its own, which strongSwan 5.9.8 mixes up when it makes several anew.
    fn section(&self, id: u32, tunnel: &Tunnel, datapath: Datapath) -> String {
        let Self { name, local, remote } = self;
        let upkeep = if tunnel.keeps_up {
            "start_action = start\n    close_action = start\n    dpd_action = restart"
        } else {
            ""
        };
        let interface = match datapath {
            Datapath::Kernel => format!("if_id_in = {IF_ID}\n    if_id_out = {IF_ID}"),
            Datapath::User => String::new(),
        };
        let own = tunnel.suite.strongswan_esp();
        let esp = tunnel.offers.map_or(own.as_str(), |(_, esp)| esp);
        format!(
            "{name} {{
    local_ts = {local}
    remote_ts = {remote}
    esp_proposals = {esp}
    rekey_time = 0
    reqid = {id}
    {upkeep}
    {interface} }}
  "
        )
    }
}
