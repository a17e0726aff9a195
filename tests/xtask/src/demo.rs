//! Two sites and a tunnel between them, shown in plain words.

use std::fs;
use std::io::IsTerminal;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use serde_json::{Value, json};
use system_tests::lab::capture::{Capture, Class, Seen};
use system_tests::lab::namespace::Namespace;
use system_tests::lab::run::{Run, wait_for_interrupt};
use system_tests::lab::sites::{Site, Sites};
use system_tests::lab::traffic::{Ping, stream};
use system_tests::lab::wait;
use system_tests::peer::bird::Bird;
use system_tests::peer::causeway::{Causeway, Document, SOON, binary, document};
use system_tests::peer::router::Router;
use system_tests::peer::strongswan::StrongSwan;
use system_tests::peer::tunnel::{Bgp, Datapath, Tunnel};

use crate::overlap;

/// Who speaks BGP at gateway a and at gateway b: link-local addresses, as between a branch and Azure.
const SPEAKERS: [Ipv4Addr; 2] = [Ipv4Addr::new(169, 254, 21, 2), Ipv4Addr::new(169, 254, 21, 1)];
/// Their autonomous systems.
const SYSTEMS: [u32; 2] = [65010, 65020];

/// Who stands at the hub, the second site.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Peer {
    /// Causeway, as at the first site.
    Causeway,
    /// strongSwan, with its user-space plugin for ESP, and BIRD for BGP.
    Strongswan,
}

/// The hub, kept running by being kept.
enum Hub {
    Causeway(Causeway),
    /// With BIRD, which speaks BGP for it.
    StrongSwan(Box<Bird>, StrongSwan),
}

/// A demonstration that is up. Fields are dropped in this order.
struct Scene {
    branch: Causeway,
    hub: Hub,
    sites: Sites,
    run: Run,
}

/// Shows the tunnel begun from either side, and stays until interrupted when somebody watches.
pub(crate) fn run(peer: Peer, once: bool) -> Result<()> {
    let hub = match peer {
        Peer::Causeway => "Causeway",
        Peer::Strongswan => "strongSwan, BIRD",
    };
    println!("\nTwo sites, each a network namespace for its gateway and one for a host behind it:");
    println!("\n    host a         gateway a                  gateway b         host b");
    println!("    10.1.0.10 ---- 192.0.2.1 ====(tunnel)==== 192.0.2.2 ---- 10.2.0.10");
    println!("                   {:<26} {hub}", "Causeway");
    println!("\nNeither is told what is behind the other: they exchange it by BGP through the tunnel.");
    drop(show(peer, Begins::Branch)?);
    overlap::show(peer)?;
    let scene = show(peer, Begins::Hub)?;
    scene.explain()?;
    if once || !std::io::stdin().is_terminal() {
        return Ok(());
    }
    println!("\nAll of it stays until you press Ctrl-C.");
    wait_for_interrupt()?;
    println!("\nRemoving it all.");
    Ok(())
}

/// Which gateway sends the first message.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Begins {
    Branch,
    Hub,
}

fn show(peer: Peer, begins: Begins) -> Result<Scene> {
    let name = if begins == Begins::Branch { "a" } else { "b" };
    println!("\n--- Gateway {name} begins");
    let run = Run::new()?;
    let sites = Sites::new(&run)?;
    let capture = Capture::start(&sites.a.gateway, "wan")?;
    let scene = Scene::start(run, sites, peer, begins)?;
    let start = Instant::now();
    let status = scene.branch.wait_for("peer", "up")?;
    println!(
        "The tunnel is up, {} ms after both gateways were.",
        start.elapsed().as_millis()
    );
    describe(&status);
    scene.exchange()?;
    scene.carry()?;
    prove(&capture.finish())?;
    Ok(scene)
}

impl Scene {
    fn start(run: Run, sites: Sites, peer: Peer, begins: Begins) -> Result<Self> {
        let bgp = Bgp::between(SPEAKERS.map(IpAddr::V4), SYSTEMS);
        let (near, far) = (
            Tunnel::between(&sites.a, &sites.b).speaking(bgp),
            Tunnel::between(&sites.b, &sites.a).speaking(bgp.mirrored()),
        );
        let (near, far) = match begins {
            Begins::Branch => (near.starting(), far.waiting()),
            Begins::Hub => (near.waiting(), far.starting()),
        };
        let branch = || Causeway::with_store(&run, &sites.a.gateway, &appliance(&near), Datapath::User);
        let hub = || -> Result<Hub> {
            let gateway = &sites.b.gateway;
            Ok(match peer {
                Peer::Causeway => Hub::Causeway(Causeway::start(&run, gateway, &far, Datapath::User)?),
                Peer::Strongswan => {
                    let ipsec = StrongSwan::start(&run, gateway, &far, Datapath::User)?;
                    let [_, id] = SPEAKERS;
                    let bird = Box::new(Bird::start(&run, gateway, &Router::of(&far, id))?);
                    Hub::StrongSwan(bird, ipsec)
                }
            })
        };
        // Who waits is there first: where nobody listens yet, the kernel would answer the first message by ICMP.
        let (hub, branch) = match begins {
            Begins::Branch => {
                let hub = hub()?;
                (hub, branch()?)
            }
            Begins::Hub => {
                let branch = branch()?;
                (hub()?, branch)
            }
        };
        match &hub {
            Hub::StrongSwan(_, hub) if begins == Begins::Hub => {
                hub.initiate()?;
            }
            Hub::Causeway(hub) => {
                hub.wait_for("peer", "up")?;
            }
            Hub::StrongSwan(..) => (),
        }
        Ok(Self {
            branch,
            hub,
            sites,
            run,
        })
    }

    /// What is behind each gateway is known to the other by BGP through the tunnel, and by nothing else.
    fn exchange(&self) -> Result<()> {
        let [ours, theirs] = SPEAKERS;
        let peer = wait::until("the BGP session", SOON, || {
            let peer = self.branch.neighbour("peer")?;
            ensure!(
                peer.get("state").and_then(Value::as_str) == Some("established"),
                "{peer}"
            );
            Ok(peer)
        })?;
        let told = |pointer: &str| peer.pointer(pointer).and_then(Value::as_u64).unwrap_or_default();
        println!(
            "BGP:      AS {} at {ours} with AS {} at {theirs}, through the tunnel: {} prefix received, {} advertised",
            SYSTEMS[0],
            SYSTEMS[1],
            told("/prefixes/ipv4/received"),
            told("/prefixes/ipv4/advertised")
        );
        if let Hub::StrongSwan(bird, _) = &self.hub {
            let session = bird.session(ours.into())?;
            println!(
                "          BIRD at gateway b: {}, {} prefix received",
                session.state, session.received
            );
        }
        for (name, gateway, prefix) in [
            ("a", &self.sites.a.gateway, self.sites.b.prefix),
            ("b", &self.sites.b.gateway, self.sites.a.prefix),
        ] {
            let route = wait::until("the route that BGP brings", SOON, || learnt(gateway, prefix))?;
            println!("          the kernel of gateway {name} learnt: {route}");
        }
        Ok(())
    }

    /// Pings in both directions, then one stream.
    fn carry(&self) -> Result<()> {
        let (a, b) = (&self.sites.a, &self.sites.b);
        for (name, from, to) in [("host a to host b", a, b), ("host b to host a", b, a)] {
            let ping = Ping::start(&from.host, to.host_address, Duration::from_millis(50))?;
            ping.wait_for(10, Duration::from_secs(10))?;
            let answers = ping.finish();
            println!(
                "Ping, {name}: {} of {} answered.",
                answers.sent - answers.lost,
                answers.sent
            );
        }
        let carried = stream(
            &a.host,
            &b.host,
            IpAddr::V4(b.host_address),
            Duration::from_secs(3),
        )?;
        println!(
            "One TCP stream, host a to host b: {} Mbit/s over 3 s.",
            carried.megabits()
        );
        Ok(())
    }

    /// A shell's beginning with the words that README uses: `causeway` on the machine, `API` over the network.
    fn admin(&self) -> Result<PathBuf> {
        let path = self.run.folder().join("admin.sh");
        let (causeway, socket) = (binary("causeway")?, self.branch.socket());
        let (causeway, socket) = (causeway.display(), socket.display());
        let words = format!(
            "cd \"$(mktemp -d)\"\ncauseway() {{ {causeway} --socket {socket} \"$@\"; }}\n\
             API=https://10.1.0.1:8443/api/v1\nPS1='host a# '\n"
        );
        fs::write(&path, words)?;
        Ok(path)
    }

    /// The web console of gateway a, and the code that claims it.
    fn offer_console(&self) -> Result<()> {
        println!("The web console of gateway a, from host a; the code claims it:");
        println!(
            "    ip netns exec {} chromium --no-sandbox --user-data-dir=\"$(mktemp -d)\" https://10.1.0.1:8443/",
            self.sites.a.host.name()
        );
        println!("    code {}", self.branch.causeway(&["claim-code"])?.trim());
        Ok(())
    }

    /// Where to look while it runs.
    fn explain(&self) -> Result<()> {
        let Site { host, .. } = &self.sites.a;
        let causeway = binary("causeway")?;
        println!("\n--- Where to look");
        self.offer_console()?;
        println!("Gateway a as its admin sees it, from host a:");
        println!(
            "    ip netns exec {} bash --rcfile {}",
            host.name(),
            self.admin()?.display()
        );
        println!(
            "    There the lines of README under \"Claiming the box\" work as they stand, but for API=, which is set."
        );
        println!("Status of gateway a:");
        println!(
            "    {} --socket {} status",
            causeway.display(),
            self.branch.socket().display()
        );
        if let Hub::Causeway(hub) = &self.hub {
            println!("Status of gateway b:");
            println!(
                "    {} --socket {} status",
                causeway.display(),
                hub.socket().display()
            );
        }
        println!("What BGP at gateway a knows, and has from whom:");
        for verb in ["peers", "routes"] {
            println!(
                "    {} --socket {} bgp {verb}",
                causeway.display(),
                self.branch.socket().display()
            );
        }
        println!("Traffic of your own, from host a to host b:");
        println!(
            "    ip netns exec {} ping {}",
            host.name(),
            self.sites.b.host_address
        );
        println!(
            "Configurations, secrets and logs: {}",
            self.run.folder().display()
        );
        println!("\n--- Status of gateway a");
        let mut status = Command::new(causeway);
        let shown = status
            .arg("--socket")
            .arg(self.branch.socket())
            .arg("status")
            .status()?;
        ensure!(shown.success(), "causeway status ended with {shown}");
        Ok(())
    }
}

/// The route of a gateway to a prefix that its BGP speaker put there.
fn learnt(gateway: &Namespace, prefix: &str) -> Result<String> {
    let routes = gateway.run("ip", &["route", "show", prefix])?;
    let mut lines = routes
        .lines()
        .filter(|route| route.contains("proto bgp") || route.contains("proto bird"));
    let route = lines.next().with_context(|| format!("none among: {routes}"))?;
    Ok(route.trim().to_owned())
}

/// A gateway that is an appliance: its document also says what addresses its links have.
fn appliance(tunnel: &Tunnel) -> Document {
    let mut document = document(&[("peer", tunnel)]);
    if let Some(parts) = document.json.as_object_mut() {
        let lan = json!({ "method": "static", "addresses": ["10.1.0.1/24", "10.1.1.1/24"] });
        let wan = json!({ "method": "static", "addresses": ["192.0.2.1/24"], "gateway": "192.0.2.2" });
        let interfaces =
            json!({ "lan": { "role": "lan", "ipv4": lan }, "wan": { "role": "wan", "ipv4": wan } });
        parts.insert("interfaces".to_owned(), interfaces);
    }
    document
}

/// The security associations, as status tells them.
fn describe(status: &Value) {
    let text = |pointer: &str| {
        status
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or("unknown")
            .to_owned()
    };
    println!(
        "IKE SA:   {}, SPIs {} and {}",
        text("/ike/algorithms"),
        text("/ike/initiator_spi"),
        text("/ike/responder_spi")
    );
    println!(
        "Child SA: {}, SPI {} in and {} out, encapsulation {}, on link {}",
        text("/children/0/algorithms"),
        text("/children/0/inbound_spi"),
        text("/children/0/outbound_spi"),
        text("/children/0/encapsulation"),
        text("/interface"),
    );
}

/// The line that proves that nothing but ESP left.
pub(crate) fn prove(seen: &Seen) -> Result<()> {
    let (esp, ike, others) = (seen.esp(), seen.count(Class::Ike), seen.unexpected());
    let neighbours = seen.count(Class::Neighbour) + seen.count(Class::Keepalive);
    println!(
        "Outer link, every packet looked at: {esp} ESP, {ike} IKE, {neighbours} ARP and the like, {others} anything else."
    );
    ensure!(
        others == 0,
        "packets were seen outside that should not be: {:?}",
        seen.unexpected
    );
    ensure!(esp > 0, "no ESP packet was seen: the tunnel carried nothing");
    Ok(())
}
