//! What the console is shown with: a gateway that nobody has claimed, and strongSwan with BIRD at another site.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use system_tests::lab::namespace::Namespace;
use system_tests::lab::pki::{Issued, Key, Wanted};
use system_tests::lab::run::Run;
use system_tests::lab::sites::Sites;
use system_tests::lab::traffic::Ping;
use system_tests::lab::wait;
use system_tests::peer::bird::Bird;
use system_tests::peer::causeway::{Causeway, Document, SOON};
use system_tests::peer::credentials::Issuers;
use system_tests::peer::router::Router;
use system_tests::peer::strongswan::StrongSwan;
use system_tests::peer::suite::MODERN;
use system_tests::peer::tunnel::{Bgp, Datapath, Ppk, Tunnel};

use crate::disk;

/// Who speaks BGP at gateway a and at gateway b.
const SPEAKERS: [Ipv4Addr; 2] = [Ipv4Addr::new(172, 31, 0, 2), Ipv4Addr::new(172, 31, 0, 1)];
/// Another address of the peer, where it has no connection of ours.
const OTHER: &str = "192.0.2.3";
/// A second secret of both sides.
const SECOND: Ppk = Ppk {
    id: "hub-and-branch",
    secret: "a.second.secret.of.the.lab.only.0123456789",
    required: true,
};
/// Their autonomous systems.
const SYSTEMS: [u32; 2] = [65010, 65020];

/// The sites of a run of the console.
pub(crate) struct Stage<'r> {
    gateway: Causeway,
    /// A machine with slots for firmware, where the browser runs.
    machine: Option<Causeway>,
    peer: Option<Peer>,
    ping: Option<Ping>,
    far: Tunnel,
    sites: Sites,
    run: &'r Run,
}

/// strongSwan, with BIRD, which speaks BGP for it.
struct Peer {
    bird: Bird,
    ipsec: StrongSwan,
}

impl<'r> Stage<'r> {
    /// Sets it up; nobody has claimed the gateway, and it knows nothing of the peer, which waits.
    pub(crate) fn new(run: &'r Run) -> Result<Self> {
        let sites = Sites::new(run)?;
        sites
            .b
            .gateway
            .ip(&[&format!("address add {OTHER}/24 dev wan")])?;
        let bgp = Bgp::between(SPEAKERS.map(IpAddr::V4), SYSTEMS).mirrored();
        let far = Tunnel::between(&sites.b, &sites.a).speaking(bgp).with(MODERN);
        let gateway = Causeway::with_store(run, &sites.a.gateway, &seed(), Datapath::User)?;
        let mut stage = Self {
            gateway,
            machine: None,
            peer: None,
            ping: None,
            far,
            sites,
            run,
        };
        stage.start_peer()?;
        Ok(stage)
    }

    /// Where the browser runs.
    pub(crate) fn host(&self) -> &Namespace {
        &self.sites.a.host
    }

    /// With which the gateway is claimed.
    pub(crate) fn code(&self) -> Result<String> {
        Ok(self.gateway.causeway(&["claim-code"])?.trim().to_owned())
    }

    /// Does what a flow asks for and answers with what it saw.
    pub(crate) fn act(&mut self, wish: &str) -> Result<Value> {
        if let Some(settings) = wish.strip_prefix("try-settings ") {
            return self.try_settings(&serde_json::from_str::<String>(settings)?);
        }
        match wish {
            "code" => Ok(json!(self.code()?)),
            "secret" => Ok(json!(self.far.secret)),
            "ping" => self.ping(),
            "wrong-secret" => {
                let right = std::mem::replace(&mut self.far.secret, "another.secret".to_owned());
                let started = self.start_peer();
                self.far.secret = right;
                started.map(|()| Value::Null)
            }
            "right-secret" => self.start_peer().map(|()| Value::Null),
            "prepended" => self.path(4),
            "not-prepended" => self.path(1),
            "certificates" => self.certificates(),
            "ping-begin" => self.begin_ping().map(|()| Value::Null),
            "ping-end" => self.end_ping(),
            "proved-by-next" => self.proved("ECDSA_WITH_SHA384_DER").map(|()| Value::Null),
            "second-secret" => self.second_secret(),
            "second-network" => self.told(self.sites.a.second_prefix).map(|()| Value::Null),
            "machine-with-slots" => self.machine(),
            "openapi" => self.openapi(),
            other => bail!("the stage knows no {other:?}"),
        }
    }

    /// The peer with the secret that the tunnel has now, instead of the one before.
    fn start_peer(&mut self) -> Result<()> {
        if let Some(mut before) = self.peer.take() {
            before.bird.stop()?;
            before.ipsec.stop()?;
            self.sites.b.gateway.ip(&["route flush type unreachable"])?;
        }
        let gateway = &self.sites.b.gateway;
        let ipsec = StrongSwan::start(self.run, gateway, &self.far, Datapath::User)?;
        let bird = Bird::start(self.run, gateway, &Router::of(&self.far, SPEAKERS[1]))?;
        self.peer = Some(Peer { bird, ipsec });
        Ok(())
    }

    /// Ten answers from the host of the other site.
    fn ping(&self) -> Result<Value> {
        let to = self.sites.b.host_address;
        wait::until("an answer of the other host", SOON, || {
            ensure!(self.sites.a.reaches(&self.sites.b), "{to} does not answer");
            Ok(())
        })?;
        let ping = Ping::start(&self.sites.a.host, to, Duration::from_millis(20))?;
        ping.wait_for(10, SOON)?;
        let answers = ping.finish();
        Ok(json!({ "sent": answers.sent, "lost": answers.lost }))
    }

    /// The peer asks for a certificate from now on, and shows one; told are ours, another one in its place, each with its key and in
    /// no order, and the root.
    fn certificates(&mut self) -> Result<Value> {
        let issuers = Issuers::with(Key::P256)?;
        let next = issuers.middle.issue(&Wanted {
            key: Key::P384,
            days: [-1, 300],
            ..Wanted::leaf("gw-a")
        })?;
        let [_, far] = issuers.credentials();
        (self.far.local_id, self.far.remote_id) = (issuers.far.subject(), issuers.near.subject());
        self.far.credentials = Some(Box::new(far));
        self.start_peer()?;
        let bundle = |own: &Issued| [issuers.middle.pem(), own.key_pem(), own.pem()].concat();
        Ok(json!({ "near": bundle(&issuers.near), "next": bundle(&next), "root": issuers.root.pem() }))
    }

    /// The peer takes nobody any more who does not mix in a second secret, which is told.
    fn second_secret(&mut self) -> Result<Value> {
        self.far.ppk = Some(SECOND);
        self.start_peer()?;
        Ok(json!({ "id": SECOND.id, "secret": SECOND.secret }))
    }

    /// Waits until BIRD has a route of ours to this network.
    fn told(&self, prefix: &str) -> Result<()> {
        let peer = self.peer.as_ref().context("no peer")?;
        wait::until(&format!("a route to {prefix}"), SOON, || {
            let routes = peer.bird.routes(prefix)?;
            ensure!(routes.contains("BGP.as_path:"), "{routes}");
            Ok(())
        })
    }

    /// Starts a machine with slots, which nobody has claimed, and tells its code and bundles for it.
    fn machine(&mut self) -> Result<Value> {
        let host = &self.sites.a.host;
        disk::lay_out(&self.run.folder().join(host.name()).join("image"))?;
        let document = Document {
            json: json!({ "schema": 1 }),
            secrets: Vec::new(),
        };
        let machine = Causeway::with_store(self.run, host, &document, Datapath::User)?;
        let code = machine.causeway(&["claim-code"])?.trim().to_owned();
        self.machine = Some(machine);
        let [good, bad] = disk::bundles()?;
        Ok(json!({ "code": code, "good": good, "bad": bad }))
    }

    /// Packets pass from now on.
    fn begin_ping(&mut self) -> Result<()> {
        let every = Duration::from_millis(20);
        let ping = Ping::start(&self.sites.a.host, self.sites.b.host_address, every)?;
        ping.wait_for(10, SOON)?;
        self.ping = Some(ping);
        Ok(())
    }

    /// What became of them.
    fn end_ping(&mut self) -> Result<Value> {
        let ping = self.ping.take().context("no packets pass")?;
        ping.wait_for(25, SOON)?;
        let answers = ping.finish();
        Ok(json!({ "sent": answers.sent, "lost": answers.lost }))
    }

    /// What the peer says of settings that the console tells for it.
    fn try_settings(&mut self, settings: &str) -> Result<Value> {
        let peer = self.peer.as_mut().context("no peer")?;
        Ok(json!(peer.ipsec.try_settings(settings)?))
    }

    /// Waits until the peer has taken a proof of ours of this kind.
    fn proved(&self, kind: &str) -> Result<()> {
        let peer = self.peer.as_ref().context("no peer")?;
        let line = format!("authentication of 'CN=gw-a' with {kind} successful");
        wait::until("a proof by the certificate", SOON, || {
            ensure!(peer.ipsec.log().contains(&line), "{line} is not in its log");
            Ok(())
        })
    }

    /// Waits until BIRD has our network with so many autonomous systems on its path.
    fn path(&self, length: usize) -> Result<Value> {
        let peer = self.peer.as_ref().context("no peer")?;
        wait::until(&format!("a path of {length}"), SOON, || {
            let routes = peer.bird.routes(self.sites.a.prefix)?;
            let mut lines = routes.lines().map(str::trim);
            let path = lines.find_map(|line| line.strip_prefix("BGP.as_path:"));
            let path = path.with_context(|| routes.clone())?;
            ensure!(path.split_whitespace().count() == length, "{path}");
            Ok(json!(path.trim()))
        })
    }

    /// What the API says of itself.
    fn openapi(&self) -> Result<Value> {
        let socket = self.gateway.socket();
        let arguments = [
            "-sf",
            "--unix-socket",
            &socket.to_string_lossy(),
            "http://localhost/api/v1/openapi.json",
        ];
        let said = self.sites.a.gateway.run("curl", &arguments)?;
        Ok(serde_json::from_str(&said)?)
    }
}

/// A gateway with a connection to a site where nobody answers, one that is switched off, and one of IKEv1 that waits for the peer of the
/// stage.
fn seed() -> Document {
    let site = |endpoint: &str, prefix: &str| json!({ "endpoint": endpoint, "address_space": [prefix] });
    let to =
        |site: &str| json!({ "site": site, "authentication": { "method": "psk", "secret": "psk-depot" } });
    let mut off = to("workshop");
    if let Some(off) = off.as_object_mut() {
        off.insert("enabled".to_owned(), json!(false));
    }
    let mut elder = to("elder");
    if let Some(elder) = elder.as_object_mut() {
        elder.insert("protocol".to_owned(), json!("IKEv1"));
        elder.insert("mode".to_owned(), json!("ResponderOnly"));
    }
    let json = json!({
        "schema": 1,
        "gateway": {
            "ip_configurations": { "default": { "address": "192.0.2.1" } },
            "address_space": ["10.1.0.0/24"],
            "bgp": { "asn": SYSTEMS[0], "addresses": [SPEAKERS[0]] }
        },
        "sites": { "depot": site("192.0.2.77", "10.77.0.0/24"), "workshop": site("192.0.2.78", "10.78.0.0/24"), "elder": site(OTHER, "10.79.0.0/24") },
        "connections": { "to-depot": to("depot"), "to-workshop": off, "to-elder": elder }
    });
    Document {
        json,
        secrets: vec![("psk-depot".to_owned(), "lab.only.not.a.secret".to_owned())],
    }
}
