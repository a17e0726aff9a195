//! FRR as a peer: `bgpd`, and `zebra` where its kernel is given routes, with their own configuration, sockets and logs.

use std::fmt::Write as _;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::router::{Router, Session, Standing, give};
use crate::lab::namespace::Namespace;
use crate::lab::process::Process;
use crate::lab::run::Run;
use crate::lab::wait;

/// The user that it runs as.
const USER: &str = "frr";
/// Time for it to start or to end, on an emulated machine too.
const START: Duration = Duration::from_secs(30);

/// An FRR that runs. Fields are dropped in this order.
pub struct Frr {
    bgpd: Process,
    zebra: Option<Process>,
    namespace: Namespace,
    folder: PathBuf,
    router: Router,
}

impl Frr {
    /// Starts it in a namespace and waits until it answers.
    ///
    /// # Errors
    /// When it does not start; the error carries its log.
    pub fn start(run: &Run, namespace: &Namespace, router: &Router) -> Result<Self> {
        let folder = run.folder().join(format!("{}-frr", namespace.name()));
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("bgpd.conf"), configuration(router))?;
        fs::write(folder.join("zebra.conf"), "hostname zebra\n")?;
        give(&folder, USER)?;
        let zebra = router.kernel.then(|| zebra(namespace, &folder)).transpose()?;
        let mut frr = Self {
            bgpd: bgpd(namespace, &folder, router.kernel)?,
            zebra,
            namespace: namespace.clone(),
            folder,
            router: router.clone(),
        };
        frr.answers()?;
        Ok(frr)
    }

    /// Has it announce these prefixes and no others as its own.
    ///
    /// # Errors
    /// When it does not take that.
    pub fn announce(&mut self, networks: &[String]) -> Result<()> {
        let before = std::mem::replace(&mut self.router.networks, networks.to_vec());
        let gone = before.iter().filter(|network| !networks.contains(network));
        let new = networks.iter().filter(|network| !before.contains(network));
        let lines = gone
            .map(|network| format!("no network {network}"))
            .chain(new.map(|network| format!("network {network}")));
        let mut commands = vec!["configure terminal".to_owned()];
        commands.push(format!("router bgp {}", self.router.asn));
        commands.push("address-family ipv4 unicast".to_owned());
        commands.extend(lines);
        self.vtysh(&commands).map(|_| ())
    }

    /// Starts `bgpd` again with the same files after it ended; `zebra` kept its routes (RFC 4724).
    ///
    /// # Errors
    /// When it does not start; the error carries its log.
    pub fn restart(&mut self) -> Result<()> {
        self.bgpd = bgpd(&self.namespace, &self.folder, self.zebra.is_some())?;
        self.answers()
    }

    /// How its session with this address stands.
    ///
    /// # Errors
    /// When it does not answer or has no such session.
    pub fn session(&self, remote: IpAddr) -> Result<Standing> {
        let words = self.vtysh(&[format!("show bgp neighbors {remote} json")])?;
        let told: Value = serde_json::from_str(&words).with_context(|| words.clone())?;
        let peer = told.get(remote.to_string()).with_context(|| words.clone())?;
        let state = peer.get("bgpState").and_then(Value::as_str);
        let received = peer.pointer("/addressFamilyInfo/ipv4Unicast/acceptedPrefixCounter");
        let received = received.and_then(Value::as_u64).unwrap_or_default();
        Ok(Standing {
            state: state.with_context(|| words.clone())?.to_owned(),
            received: usize::try_from(received)?,
            words,
        })
    }

    /// What it says of its routes to a prefix.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn routes(&self, prefix: &str) -> Result<String> {
        self.vtysh(&[format!("show bgp ipv4 unicast {prefix} json")])
    }

    /// Ends its session with this address in an orderly way and begins it anew.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn reset(&self, remote: IpAddr) -> Result<()> {
        self.vtysh(&[format!("clear bgp {remote}")]).map(|_| ())
    }

    /// Ends `bgpd` without a word to its peers; `zebra` keeps the routes.
    ///
    /// # Errors
    /// When it is gone already.
    pub fn kill(&mut self) -> Result<()> {
        self.bgpd.kill()
    }

    /// Stops `bgpd` in an orderly way.
    ///
    /// # Errors
    /// When it does not end.
    pub fn stop(&mut self) -> Result<()> {
        self.bgpd.terminate(START).map(|_| ())
    }

    /// The process id of `bgpd`.
    pub fn id(&self) -> u32 {
        self.bgpd.id()
    }

    /// What `bgpd` logged.
    pub fn log(&self) -> String {
        self.bgpd.log()
    }

    fn answers(&mut self) -> Result<()> {
        wait::until("FRR to answer", START, || {
            ensure!(self.bgpd.ended()?.is_none(), "it ended: {}", self.bgpd.log());
            self.vtysh(&["show bgp summary json"])
        })?;
        Ok(())
    }

    fn vtysh(&self, commands: &[impl AsRef<str>]) -> Result<String> {
        let output = Command::new("vtysh")
            .arg("--vty_socket")
            .arg(&self.folder)
            .args(["-d", "bgpd"])
            .args(commands.iter().flat_map(|command| ["-c", command.as_ref()]))
            .output()
            .context("starting vtysh")?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let complained = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success() && !said.starts_with('%'),
            "vtysh: {said}{complained}"
        );
        Ok(said)
    }
}

/// A daemon of FRR with what all of them are told.
fn daemon(name: &str, folder: &Path) -> Command {
    let mut command = Command::new(format!("/usr/lib/frr/{name}"));
    command.args(["-u", USER, "-g", USER, "--log", "stdout", "-P", "0"]);
    command.arg("-f").arg(folder.join(format!("{name}.conf")));
    command.arg("-i").arg(folder.join(format!("{name}.pid")));
    command.arg("--vty_socket").arg(folder);
    command.arg("-z").arg(folder.join("zserv.api"));
    command
}

/// It keeps the routes of a `bgpd` that is gone.
fn zebra(namespace: &Namespace, folder: &Path) -> Result<Process> {
    let mut command = daemon("zebra", folder);
    command.args(["-K", "120"]);
    let process = namespace.spawn(&format!("{}-zebra", namespace.name()), &mut command)?;
    wait::until("zebra to listen", START, || {
        ensure!(folder.join("zserv.api").exists(), "no socket: {}", process.log());
        Ok(())
    })?;
    Ok(process)
}

fn bgpd(namespace: &Namespace, folder: &Path, kernel: bool) -> Result<Process> {
    let mut command = daemon("bgpd", folder);
    command.args((!kernel).then_some("--no_zebra"));
    namespace.spawn(&format!("{}-bgpd", namespace.name()), &mut command)
}

fn configuration(router: &Router) -> String {
    let Router {
        asn,
        id,
        restart_time,
        ..
    } = router;
    let mut text = format!(
        "hostname bgpd
router bgp {asn}
 bgp router-id {id}
 no bgp ebgp-requires-policy
 no bgp network import-check
 no bgp default ipv4-unicast
 bgp graceful-restart
 bgp graceful-restart preserve-fw-state
 bgp graceful-restart restart-time {restart_time}
 bgp graceful-restart notification
"
    );
    let sessions = router.sessions.iter();
    text.extend(sessions.map(neighbour));
    text.push_str(" address-family ipv4 unicast\n");
    for network in &router.networks {
        let _always_fits = writeln!(text, "  network {network}");
    }
    for Session { remote, link, .. } in &router.sessions {
        let _always_fits = writeln!(text, "  neighbor {remote} activate");
        // What came through a tunnel is told to nobody: FRR tells it even to whom it came from.
        if link.is_some() {
            let _always_fits = writeln!(text, "  neighbor {remote} filter-list own out");
        }
    }
    text.push_str(" exit-address-family\nbgp as-path access-list own permit ^$\n");
    text
}

fn neighbour(session: &Session) -> String {
    let Session {
        local,
        remote,
        asn,
        hold_time,
        words,
        ..
    } = session;
    let passive = if session.passive {
        format!(" neighbor {remote} passive\n")
    } else {
        String::new()
    };
    format!(
        " neighbor {remote} remote-as {asn}
 neighbor {remote} update-source {local}
 neighbor {remote} ebgp-multihop 2
 neighbor {remote} timers {} {hold_time}
 neighbor {remote} timers connect 2
 neighbor {remote} timers delayopen 1
 neighbor {remote} advertisement-interval 0
{passive}{words}",
        (hold_time / 3).max(1)
    )
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::super::bird::Bird;
    use super::super::strongswan::StrongSwan;
    use super::super::tunnel::{Bgp, Datapath, Tunnel};
    use super::*;
    use crate::lab::link::{End, connect};
    use crate::lab::sites::Sites;

    /// Both peers of our scenarios speak BGP with each other, and the kernel of each has the other's prefix.
    #[test]
    fn frr_and_bird_speak_with_each_other() {
        let run = Run::new().unwrap();
        let [one, other] = ["frr", "bird"].map(|name| Namespace::new(&run, name).unwrap());
        let end = |namespace, address| End {
            namespace,
            link: "wan",
            address,
        };
        connect(&end(&one, "192.0.2.1/24"), &end(&other, "192.0.2.2/24")).unwrap();
        let addresses: [IpAddr; 2] = ["192.0.2.1", "192.0.2.2"].map(|text| text.parse().unwrap());
        let [near, far] = addresses;
        let ours = Session::new([near, far], 65002).waiting();
        let ours = Router::new(65001, "192.0.2.1".parse().unwrap(), vec![ours]).with(&["10.9.0.0/24"]);
        let theirs = Session::new([far, near], 65001);
        let theirs = Router::new(65002, "192.0.2.2".parse().unwrap(), vec![theirs]).with(&["10.8.0.0/24"]);
        let frr = Frr::start(&run, &one, &ours).unwrap();
        let mut bird = Bird::start(&run, &other, &theirs).unwrap();
        wait::until("the routes to be in both kernels", START, || {
            let (ours, theirs) = (frr.session(far)?, bird.session(near)?);
            ensure!(ours.state == "Established" && ours.received == 1, "{ours}");
            ensure!(theirs.state == "Established" && theirs.received == 1, "{theirs}");
            for (namespace, prefix) in [(&one, "10.8.0.0/24"), (&other, "10.9.0.0/24")] {
                let routes = namespace.run("ip", &["route", "show", prefix])?;
                ensure!(routes.contains("via"), "{routes}");
            }
            Ok(())
        })
        .unwrap();
        bird.stop().unwrap();
        wait::until("FRR to miss BIRD", START, || {
            let session = frr.session(far)?;
            ensure!(session.state != "Established", "{session}");
            Ok(())
        })
        .unwrap();
    }

    /// Sessions between APIPA addresses through a tunnel of two strongSwans, in which the routes they bring are used.
    #[test]
    fn bgp_speaks_through_a_tunnel_of_strongswan() {
        let run = Run::new().unwrap();
        let sites = Sites::new(&run).unwrap();
        let ends: [IpAddr; 2] = ["169.254.21.2", "169.254.21.1"].map(|text| text.parse().unwrap());
        let bgp = Bgp::between(ends, [65010, 65020]);
        let near = Tunnel::between(&sites.a, &sites.b).speaking(bgp);
        let far = Tunnel::between(&sites.b, &sites.a).speaking(bgp.mirrored());
        let _far = StrongSwan::start(&run, &sites.b.gateway, &far, Datapath::User).unwrap();
        let asks = StrongSwan::start(&run, &sites.a.gateway, &near, Datapath::User).unwrap();
        asks.initiate().unwrap();
        let bird = Bird::start(
            &run,
            &sites.a.gateway,
            &Router::of(&near, Ipv4Addr::new(192, 0, 2, 1)),
        )
        .unwrap();
        let frr = Frr::start(
            &run,
            &sites.b.gateway,
            &Router::of(&far, Ipv4Addr::new(192, 0, 2, 2)),
        )
        .unwrap();
        wait::until("the hosts to reach each other", START, || {
            ensure!(
                sites.a.reaches(&sites.b),
                "{} {} {}",
                bird.session(ends[1])?,
                frr.session(ends[0])?,
                sites.a.gateway.run("ip", &["route"])?
            );
            Ok(())
        })
        .unwrap();
    }
}
