//! Causeway and strongSwan prove themselves to each other by certificates.

use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use system_tests::lab::pki::{Issued, Key, Name, Revocations, Wanted};
use system_tests::lab::process::Process;
use system_tests::lab::run::Run;
use system_tests::lab::sites::Sites;
use system_tests::lab::traffic::Ping;
use system_tests::lab::wait;
use system_tests::peer::api::Api;
use system_tests::peer::causeway::{Causeway, Document, SOON, document};
use system_tests::peer::credentials::{Credentials, Issuers};
use system_tests::peer::strongswan::StrongSwan;
use system_tests::peer::tunnel::{Datapath, Tunnel};

/// Causeway, strongSwan and their networks. Fields are dropped in this order.
pub(crate) struct Peers {
    pub(crate) near: Causeway,
    pub(crate) far: StrongSwan,
    pub(crate) document: Document,
    pub(crate) sites: Sites,
    pub(crate) run: Run,
}

/// Neither starts by itself but Causeway, if `change` does not say otherwise.
pub(crate) fn peers([near, far]: [Credentials; 2], change: impl Fn(&mut Tunnel, &mut Tunnel)) -> Peers {
    let run = Run::new().unwrap();
    let sites = Sites::new(&run).unwrap();
    let datapath = Datapath::of_this_run().unwrap();
    let mut a = Tunnel::between(&sites.a, &sites.b);
    let mut b = Tunnel::between(&sites.b, &sites.a);
    if let (Some(ours), Some(theirs)) = (&near.own, &far.own) {
        (a.local_id, b.remote_id) = (ours.subject(), ours.subject());
        (a.remote_id, b.local_id) = (theirs.subject(), theirs.subject());
    }
    (a.credentials, b.credentials) = (Some(Box::new(near)), Some(Box::new(far)));
    change(&mut a, &mut b);
    let document = document(&[("peer", &a)]);
    let far = StrongSwan::start(&run, &sites.b.gateway, &b, datapath).unwrap();
    let near = Causeway::with_store(&run, &sites.a.gateway, &document, datapath).unwrap();
    Peers {
        near,
        far,
        document,
        sites,
        run,
    }
}

/// The same, begun by Causeway alone, or by strongSwan.
pub(crate) fn begun(
    credentials: [Credentials; 2],
    causeway_starts: bool,
    change: impl Fn(&mut Tunnel, &mut Tunnel),
) -> Peers {
    let peers = peers(credentials, |a, b| {
        change(a, b);
        a.mode = if causeway_starts {
            "InitiatorOnly"
        } else {
            "ResponderOnly"
        };
    });
    if !causeway_starts {
        peers.far.initiate().unwrap();
    }
    peers
}

impl Peers {
    fn ping(&self) -> Ping {
        let every = Duration::from_millis(20);
        Ping::start(&self.sites.a.host, self.sites.b.host_address, every).unwrap()
    }

    /// It carries packets.
    pub(crate) fn carries(&self) {
        self.near.wait_for("peer", "up").unwrap();
        let ping = self.ping();
        ping.wait_for(5, SOON).unwrap();
        assert_eq!(ping.finish().lost, 0);
    }

    /// How the key of a certificate does.
    pub(crate) fn key(&self, name: &str) -> Value {
        let mut api = Api::connect(&self.near.socket()).unwrap();
        api.ask("GET", &format!("/status/keys/{name}"), "").unwrap()
    }
}

/// strongSwan takes each proof of ours, and we take its own, whoever starts.
#[test]
fn every_method_comes_up_from_either_side() {
    for (key, digital, proof) in [
        (Key::Rsa2048, true, "RSA_EMSA_PKCS1_SHA2_256 successful"),
        (Key::Rsa2048, false, "RSA signature successful"),
        (Key::P256, true, "ECDSA_WITH_SHA256_DER successful"),
        (Key::P256, false, "ECDSA-256 signature successful"),
        (Key::P384, false, "ECDSA-384 signature successful"),
    ] {
        for causeway_starts in [true, false] {
            let [near, mut far] = Issuers::with(key).unwrap().credentials();
            far.signature_authentication = digital;
            let peers = begun([near, far], causeway_starts, |_, _| ());
            peers.carries();
            let log = peers.far.log();
            let taken = format!("authentication of 'CN=gw-a' with {proof}");
            assert!(log.contains(&taken), "{taken} is not in {log}");
            let keys = peers.key("peer");
            assert_eq!(
                (&keys["state"], &keys["place"]),
                (&json!("ready"), &json!("memory")),
                "{keys}"
            );
            assert_eq!(keys["signed"], json!(1), "{keys}");
        }
    }
}

/// Causeway expects gw-b, and tells this reason and whose fault it is once what both sides prove themselves by is altered like
/// this.
fn is_refused(reason: &str, side: &str, change: impl Fn(&Issuers, &mut Credentials, &mut Credentials)) {
    let issuers = Issuers::with(Key::P256).unwrap();
    let [mut near, mut far] = issuers.credentials();
    change(&issuers, &mut near, &mut far);
    let peers = peers([near, far], |a, _| a.remote_id = "CN=gw-b".to_owned());
    let told = wait::until(reason, SOON, || {
        let told = peers.near.connection("peer")?;
        anyhow::ensure!(told["outage"]["reason"] == reason, "{told}");
        Ok(told)
    });
    let outage = &told.unwrap()["outage"];
    assert_eq!(outage["side"], side, "{outage}");
    let step = outage["next_step"].as_str().unwrap_or_default();
    assert!(step.ends_with('.'), "{outage}");
}

/// What strongSwan proves itself by is not believed, and why is told.
#[test]
fn who_cannot_be_believed_is_refused_and_why_is_told() {
    let of = |subject| Wanted {
        key: Key::P256,
        ..Wanted::leaf(subject)
    };
    let with = |wanted: Wanted| {
        move |issuers: &Issuers, _: &mut Credentials, far: &mut Credentials| {
            far.own = Some(issuers.middle.issue(&wanted).unwrap());
        }
    };
    let another = || vec![Issued::root(&Wanted::authority("Another root", 1)).unwrap()];
    is_refused("certificate-expired", "we", with(of("gw-b").expired()));
    is_refused("certificate-not-yet-valid", "we", with(of("gw-b").early()));
    is_refused("peer-identity-unexpected", "we", with(of("gw-c")));
    // Ours is of the root itself, so that strongSwan does not learn from us what it does not have.
    is_refused("certificate-untrusted", "we", |issuers, near, far| {
        near.own = Some(issuers.root.issue(&of("gw-a")).unwrap());
        far.own = Some(issuers.far.clone().alone());
    });
    is_refused("certificate-untrusted", "we", |_, near, _| near.roots = another());
    is_refused("revocation-unknown", "we", |_, near, _| {
        near.revocation = "strict"
    });
    is_refused("authentication-failed", "peer", |_, _, far| far.roots = another());
}

/// Lists of what was revoked, at a web server on the network behind Causeway.
struct Lists {
    folder: PathBuf,
    host: Ipv4Addr,
    server: Process,
}

impl Lists {
    fn new(peers: &Peers) -> Self {
        let (folder, host) = (peers.run.folder().join("lists"), peers.sites.a.host_address);
        fs::create_dir(&folder).unwrap();
        let mut httpd = Command::new("busybox");
        httpd
            .args(["httpd", "-f", "-p", &format!("{host}:80"), "-h"])
            .arg(&folder);
        let server = peers.sites.a.host.spawn("httpd", &mut httpd).unwrap();
        Self { folder, host, server }
    }

    fn publish(&self, name: &str, list: &Revocations) {
        fs::write(self.folder.join(name), list.der()).unwrap();
    }

    fn address(&self, name: &str) -> String {
        format!("http://{}/{name}", self.host)
    }
}

impl Peers {
    /// Has all lists fetched anew, and returns what came of that.
    fn refresh_lists(&self) -> Value {
        let mut api = Api::connect(&self.near.socket()).unwrap();
        api.ask("POST", "/revocation-lists:refresh", "").unwrap()
    }

    pub(crate) fn is_down_because(&self, reason: &str) {
        wait::until(reason, SOON, || {
            let told = self.near.connection("peer")?;
            anyhow::ensure!(
                told["state"] != "up" && told["outage"]["reason"] == reason,
                "{told}"
            );
            Ok(())
        })
        .unwrap();
    }
}

/// Who insists on lists believes nobody without them; once a list has the peer, its tunnel goes down, and that outlives a
/// restart while no server answers.
#[test]
fn a_peer_that_its_issuer_revokes_is_cut_off() {
    let issuers = Issuers::with(Key::P256).unwrap();
    let [mut near, far] = issuers.credentials();
    near.revocation = "strict";
    let mut peers = peers([near, far], |_, _| ());
    peers.is_down_because("revocation-unknown");
    let mut lists = Lists::new(&peers);
    lists.publish("root.crl", &issuers.root.revoke(&[]).unwrap());
    lists.publish("middle.crl", &issuers.middle.revoke(&[]).unwrap());
    let mut document = peers.document.json.clone();
    let chain = json!([issuers.root.pem(), issuers.middle.pem()]);
    document["trust"]["peer"]["chain"] = chain;
    document["trust"]["peer"]["crl_sources"] =
        json!([lists.address("root.crl"), lists.address("middle.crl")]);
    peers.near.commit(&document, &[]).unwrap();
    peers.carries();

    lists.publish("middle.crl", &issuers.middle.revoke(&[&issuers.far]).unwrap());
    let told = peers.refresh_lists();
    assert_eq!(told[lists.address("middle.crl")]["revoked"], 1, "{told}");
    peers.is_down_because("certificate-revoked");

    lists.server.kill().unwrap();
    peers.near.stop().unwrap();
    peers.near.restart().unwrap();
    peers.is_down_because("certificate-revoked");
    let told = peers.refresh_lists();
    let list = &told[lists.address("middle.crl")];
    assert_eq!(
        (&list["state"], &list["outage"]["reason"]),
        (&json!("good"), &json!("list-unreachable")),
        "{told}"
    );
}

/// Nobody has to write down where lists are: certificates say it, those of the peer among them.
#[test]
fn lists_are_fetched_from_where_certificates_say() {
    let host = "10.1.0.10";
    let listed = |wanted: Wanted, name: &str| Wanted {
        key: Key::P256,
        list: Some(format!("http://{host}/{name}")),
        ..wanted
    };
    let mut issuers = Issuers::with(Key::P256).unwrap();
    issuers.middle = issuers
        .root
        .issue(&listed(Wanted::authority("Lab middle", 0), "root.crl"))
        .unwrap();
    issuers.near = issuers
        .middle
        .issue(&listed(Wanted::leaf("gw-a"), "middle.crl"))
        .unwrap();
    issuers.far = issuers
        .middle
        .issue(&listed(Wanted::leaf("gw-b"), "middle.crl"))
        .unwrap();
    let [mut near, far] = issuers.credentials();
    near.revocation = "strict";
    let peers = peers([near, far], |_, _| ());
    assert_eq!(peers.sites.a.host_address.to_string(), host);
    let lists = Lists::new(&peers);
    lists.publish("root.crl", &issuers.root.revoke(&[]).unwrap());
    lists.publish("middle.crl", &issuers.middle.revoke(&[&issuers.near]).unwrap());
    wait::until("both lists to be asked for", SOON, || {
        let told = peers.refresh_lists();
        let good = |name: &str| told[lists.address(name)]["state"] == "good";
        anyhow::ensure!(good("root.crl") && good("middle.crl"), "{told}");
        Ok(())
    })
    .unwrap();
    peers.carries();
    let told = peers.refresh_lists();
    assert_eq!(
        told[lists.address("middle.crl")]["named_by"],
        "certificate",
        "{told}"
    );
}

/// One side has a certificate and the other a pre-shared key, each way.
#[test]
fn each_side_may_prove_itself_in_its_own_way() {
    for causeway_has_certificate in [true, false] {
        let [mut near, mut far] = Issuers::with(Key::P256).unwrap().credentials();
        if causeway_has_certificate {
            (near.roots, far.own) = (Vec::new(), None);
        } else {
            (near.own, far.roots) = (None, Vec::new());
        }
        let peers = peers([near, far], |a, b| {
            let (certified, other, subject) = if causeway_has_certificate {
                (a, b, "CN=gw-a")
            } else {
                (b, a, "CN=gw-b")
            };
            (certified.local_id, other.remote_id) = (subject.to_owned(), subject.to_owned());
            (certified.remote_id, other.local_id) = ("gw-x.example".to_owned(), "gw-x.example".to_owned());
        });
        peers.carries();
    }
}

/// RFC 4945 §3.1: names beside the subject, of both sides.
#[test]
fn names_beside_the_subject_are_believed() {
    let mut issuers = Issuers::with(Key::P256).unwrap();
    let named = |subject, name| Wanted {
        names: vec![Name::Dns(name)],
        key: Key::P256,
        ..Wanted::leaf(subject)
    };
    issuers.near = issuers.middle.issue(&named("gw-a", "gw-a.example")).unwrap();
    issuers.far = issuers.middle.issue(&named("gw-b", "gw-b.example")).unwrap();
    let peers = peers(issuers.credentials(), |a, b| {
        (a.local_id, b.remote_id) = ("gw-a.example".to_owned(), "gw-a.example".to_owned());
        (a.remote_id, b.local_id) = ("gw-b.example".to_owned(), "gw-b.example".to_owned());
    });
    peers.carries();
}

/// Every file below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let below = |path: PathBuf| if path.is_dir() { files(&path) } else { vec![path] };
    entries.flat_map(below).collect()
}

/// The key has signed; it is neither in the store, nor in the log, nor in anything that the API tells, and where the daemon ends by
/// a fault it leaves no memory behind.
#[test]
fn no_octet_of_a_private_key_is_left_in_the_open() {
    let issuers = Issuers::with(Key::Rsa2048).unwrap();
    let mut peers = peers(issuers.credentials(), |_, _| ());
    peers.carries();
    let pem = issuers.near.key_pem();
    let line = pem.lines().nth(5).unwrap().to_owned();
    let der = issuers.near.key_der();
    let places = [line.as_bytes(), &der[600..632]];
    let is_open = |octets: &[u8]| {
        places
            .iter()
            .any(|place| octets.windows(place.len()).any(|part| part == *place))
    };
    assert!(
        is_open(pem.as_bytes()) && is_open(&der),
        "the test looks for the wrong thing"
    );
    let state = peers
        .run
        .folder()
        .join(peers.sites.a.gateway.name())
        .join("state");
    let stored = files(&state);
    assert!(stored.len() >= 2, "{stored:?}");
    for file in stored {
        assert!(!is_open(&fs::read(&file).unwrap()), "{}", file.display());
    }
    assert!(!is_open(peers.near.log().as_bytes()), "in the log");
    let mut api = Api::connect(&peers.near.socket()).unwrap();
    for path in ["/config", "/status", "/status/keys", "/secrets"] {
        let told = api.ask("GET", path, "").unwrap().to_string();
        assert!(!is_open(told.as_bytes()), "{path}");
    }
    let limits = fs::read_to_string(format!("/proc/{}/limits", peers.near.id())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size"));
    let words: Vec<_> = core.unwrap().split_whitespace().collect();
    assert_eq!(words[4..6], ["0", "0"], "it may leave its memory in a file");
    let status = peers.near.abort().unwrap();
    assert_eq!(
        (status.signal(), status.core_dumped()),
        (Some(Signal::SIGABRT as i32), false)
    );
    for file in files(&state) {
        assert!(!is_open(&fs::read(&file).unwrap()), "{}", file.display());
    }
}
