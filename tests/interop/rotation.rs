//! Certificates and roots change while packets pass, and both sides prove anew who they are: no packet is lost.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use system_tests::lab::pki::{Issued, Key, Wanted};
use system_tests::lab::run::Run;
use system_tests::lab::sites::Sites;
use system_tests::lab::traffic::Ping;
use system_tests::lab::wait;
use system_tests::peer::api::Api;
use system_tests::peer::causeway::{Causeway, Document, SOON, document};
use system_tests::peer::credentials::Issuers;
use system_tests::peer::strongswan::StrongSwan;
use system_tests::peer::tunnel::{Datapath, Tunnel};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::certificates::{begun, peers};

/// The SPIs of the IKE SA that the tunnel runs on, once there is no other beside it.
fn alone(gateway: &Causeway) -> Result<[Value; 2]> {
    let told = gateway.connection("peer")?;
    let quiet = told["reauthentication"]["under_way"] == false && told["state"] == "up";
    ensure!(quiet, "{told}");
    let spi = |which: &str| told["ike"][which].clone();
    Ok([spi("initiator_spi"), spi("responder_spi")])
}

/// Something is done while pings flow both ways, by which the tunnel gets another IKE SA at this gateway; no packet is lost but
/// for what strongSwan's own kernel had no state for, and what it sent by a new Child SA before its answer could be read.
fn unharmed(sites: &Sites, gateway: &Causeway, strongswan: Option<&StrongSwan>, what: impl FnOnce()) {
    let (a, b) = (&sites.a, &sites.b);
    let lost_by_peer = || {
        let too_early = || a.gateway.xfrm_statistic("XfrmInNoStates").unwrap();
        strongswan.map_or(0, |peer| peer.lost().unwrap() + too_early())
    };
    let every = Duration::from_millis(20);
    let pings = [(a, b), (b, a)].map(|(from, to)| Ping::start(&from.host, to.host_address, every).unwrap());
    pings.iter().for_each(|ping| ping.wait_for(10, SOON).unwrap());
    // An attempt of before, which the peer refused, may be made again just now.
    let before = wait::until("a quiet tunnel", SOON, || alone(gateway)).unwrap();
    let lost_before = lost_by_peer();
    what();
    wait::until("another IKE SA", SOON, || {
        let now = alone(gateway)?;
        ensure!(now != before, "{now:?}");
        Ok(())
    })
    .unwrap();
    pings.iter().for_each(|ping| ping.wait_for(25, SOON).unwrap());
    let answers = pings.map(Ping::finish);
    let lost: usize = answers.iter().map(|answers| answers.lost).sum();
    let by_peer = lost_by_peer() - lost_before;
    assert!(lost <= by_peer, "{answers:?}, {by_peer} by the peer");
}

/// The same document with another certificate of ours in use, whose key is put in its place before.
fn with_certificate(gateway: &Causeway, document: &Value, name: &str, chain: &[&Issued]) -> Value {
    let mut changed = with_unused_certificate(gateway, document, name, chain);
    changed["connections"]["peer"]["authentication"]["certificate"] = json!(name);
    changed
}

/// The same, while it is not used.
fn with_unused_certificate(gateway: &Causeway, document: &Value, name: &str, chain: &[&Issued]) -> Value {
    let mut api = Api::connect(&gateway.socket()).unwrap();
    let key = format!("key-{name}");
    api.ask("PUT", &format!("/secrets/{key}"), &chain[0].key_pem())
        .unwrap();
    let mut changed = document.clone();
    let chain: Vec<String> = chain.iter().map(|issued| issued.pem()).collect();
    changed["certificates"][name] =
        json!({ "key": { "provider": "files", "reference": key }, "chain": chain });
    changed
}

/// A new certificate with a new key is used as soon as it is committed, whoever started the tunnel; after that each side asks
/// once for new proofs by hand.
#[test]
fn a_new_certificate_is_used_at_once() {
    for causeway_starts in [true, false] {
        let issuers = Issuers::with(Key::P256).unwrap();
        let peers = begun(issuers.credentials(), causeway_starts, |_, _| ());
        peers.near.wait_for("peer", "up").unwrap();
        let wanted = Wanted {
            key: Key::P384,
            ..Wanted::leaf("gw-a")
        };
        let next = issuers.middle.issue(&wanted).unwrap();
        let chain = [&next, &issuers.middle];
        let changed = with_certificate(&peers.near, &peers.document.json, "next", &chain);
        let far = Some(&peers.far);
        unharmed(&peers.sites, &peers.near, far, || {
            peers.near.commit(&changed, &[]).unwrap();
        });
        let log = peers.far.log();
        assert!(log.contains("authentication of 'CN=gw-a' with ECDSA_WITH_SHA384_DER successful"));
        unharmed(&peers.sites, &peers.near, far, || {
            peers.near.causeway(&["reauthenticate", "peer"]).unwrap();
        });
        // Whoever is to start alone answers no first message of the peer.
        if !causeway_starts {
            unharmed(&peers.sites, &peers.near, far, || {
                peers.far.reauthenticate().unwrap();
            });
        }
        let signed = if causeway_starts { 2 } else { 3 };
        assert_eq!(peers.key("next")["signed"], json!(signed));
    }
}

/// A certificate that the peer does not believe takes nothing down; why is told until there is a better one.
#[test]
fn a_certificate_that_is_not_believed_takes_nothing_down() {
    let issuers = Issuers::with(Key::P256).unwrap();
    let peers = peers(issuers.credentials(), |_, _| ());
    peers.near.wait_for("peer", "up").unwrap();
    let strange = Issued::root(&Wanted::authority("Another root", 1)).unwrap();
    let wanted = || Wanted {
        key: Key::P256,
        ..Wanted::leaf("gw-a")
    };
    let strange = strange.issue(&wanted()).unwrap();
    let before = alone(&peers.near).unwrap();
    let ping = Ping::start(
        &peers.sites.a.host,
        peers.sites.b.host_address,
        Duration::from_millis(20),
    )
    .unwrap();
    let changed = with_certificate(&peers.near, &peers.document.json, "strange", &[&strange]);
    peers.near.commit(&changed, &[]).unwrap();
    let told = wait::until("the refusal to be told", SOON, || {
        let told = peers.near.connection("peer")?;
        ensure!(!told["reauthentication"]["outage"].is_null(), "{told}");
        Ok(told)
    })
    .unwrap();
    assert_eq!(
        told["reauthentication"]["outage"]["reason"], "authentication-failed",
        "{told}"
    );
    assert_eq!(
        (&told["state"], &told["ike"]["initiator_spi"]),
        (&json!("up"), &before[0])
    );
    ping.wait_for(25, SOON).unwrap();
    assert_eq!(ping.finish().lost, 0);
    let next = issuers.middle.issue(&wanted()).unwrap();
    let changed = with_certificate(
        &peers.near,
        &peers.document.json,
        "next",
        &[&next, &issuers.middle],
    );
    unharmed(&peers.sites, &peers.near, Some(&peers.far), || {
        peers.near.commit(&changed, &[]).unwrap();
    });
    let told = peers.near.connection("peer").unwrap();
    assert_eq!(
        (&told["outage"], &told["reauthentication"]["outage"]),
        (&Value::Null, &Value::Null)
    );
}

/// Two Causeways, each with a certificate of this root.
struct Twins {
    gateways: [Causeway; 2],
    documents: [Document; 2],
    sites: Sites,
    _run: Run,
}

impl Twins {
    fn new(issuers: &Issuers) -> Self {
        let run = Run::new().unwrap();
        let sites = Sites::new(&run).unwrap();
        let datapath = Datapath::of_this_run().unwrap();
        let mut tunnels = [
            Tunnel::between(&sites.a, &sites.b),
            Tunnel::between(&sites.b, &sites.a).waiting(),
        ];
        let subjects = [issuers.near.subject(), issuers.far.subject()];
        let [near, far] = issuers.credentials();
        for (place, (tunnel, own)) in tunnels.iter_mut().zip([near, far]).enumerate() {
            tunnel.local_id.clone_from(&subjects[place]);
            tunnel.remote_id.clone_from(&subjects[1 - place]);
            tunnel.credentials = Some(Box::new(own));
        }
        let documents = tunnels.map(|tunnel| document(&[("peer", &tunnel)]));
        let start = |place: usize, site: &system_tests::lab::sites::Site| {
            Causeway::with_store(&run, &site.gateway, &documents[place], datapath).unwrap()
        };
        let far = start(1, &sites.b);
        let near = start(0, &sites.a);
        Self {
            gateways: [near, far],
            documents,
            sites,
            _run: run,
        }
    }

    fn both_up(&self) {
        for gateway in &self.gateways {
            gateway.wait_for("peer", "up").unwrap();
        }
    }
}

/// Both sides believe the old root and the new one for a while, in which each gets a certificate of the new one.
#[test]
fn roots_are_replaced_one_after_the_other() {
    let old = Issuers::with(Key::P256).unwrap();
    let next = Issued::root(&Wanted::authority("Next root", 1)).unwrap();
    let issue = |name| next.issue(&Wanted::leaf(name)).unwrap();
    let mut twins = Twins::new(&old);
    twins.both_up();
    let before = alone(&twins.gateways[0]).unwrap();
    for (gateway, document) in twins.gateways.iter().zip(&mut twins.documents) {
        document.json["trust"]["peer"]["chain"] = json!([old.root.pem(), next.pem()]);
        gateway.commit(&document.json, &[]).unwrap();
    }
    assert_eq!(
        alone(&twins.gateways[0]).unwrap(),
        before,
        "one more root changes nothing"
    );
    for (place, issued) in [issue("gw-a"), issue("gw-b")].into_iter().enumerate() {
        let gateway = &twins.gateways[place];
        let changed = with_certificate(gateway, &twins.documents[place].json, "new", &[&issued]);
        unharmed(&twins.sites, gateway, None, || {
            gateway.commit(&changed, &[]).unwrap();
        });
        twins.documents[place].json = changed;
    }
    for (gateway, document) in twins.gateways.iter().zip(&mut twins.documents) {
        document.json["trust"]["peer"]["chain"] = json!([next.pem()]);
        gateway.commit(&document.json, &[]).unwrap();
    }
    twins.both_up();
    let every = Duration::from_millis(20);
    let ping = Ping::start(&twins.sites.a.host, twins.sites.b.host_address, every).unwrap();
    ping.wait_for(25, SOON).unwrap();
    ping.finish();
}

/// Certificates change on their days, and so do the roots that are believed, by themselves and while packets pass.
#[test]
fn a_transition_keeps_its_dates() {
    let old = Issuers::with(Key::P256).unwrap();
    let next = Issued::root(&Wanted::authority("Next root", 1)).unwrap();
    let twins = Twins::new(&old);
    twins.both_up();
    let begun = OffsetDateTime::now_utc().replace_nanosecond(0).unwrap();
    // The emulated machine takes its time for a commit.
    let [far_from, near_from, until, over] = match Datapath::of_this_run().unwrap() {
        Datapath::User => [2, 16, 40, 52],
        Datapath::Kernel => [20, 50, 95, 110],
    };
    let after = |seconds| begun + Duration::from_secs(seconds);
    let at = |seconds| after(seconds).format(&Rfc3339).unwrap();
    // The far side is the first, and the near one believes what that shows before its own turn.
    for (place, (name, from)) in [("gw-a", near_from), ("gw-b", far_from)].into_iter().enumerate() {
        let (gateway, document) = (&twins.gateways[place], &twins.documents[place].json);
        let issued = next.issue(&Wanted::leaf(name)).unwrap();
        let mut changed = with_unused_certificate(gateway, document, "new", &[&issued]);
        changed["trust"]["next"] = json!({ "chain": [next.pem()] });
        if place == 0 {
            changed["trust"]["peer"]["chain"] = json!([old.root.pem(), next.pem()]);
        }
        changed["connections"]["peer"]["authentication"]["transition"] =
            json!({ "from": at(from), "until": at(until), "certificate": "new", "chain": "next" });
        gateway.commit(&changed, &[]).unwrap();
    }
    let [near, far] = &twins.gateways;
    for gateway in [far, near] {
        unharmed(&twins.sites, near, None, || {
            wait::until("the new certificate to be used", SOON, || {
                let mut api = Api::connect(&gateway.socket())?;
                let key = api.ask("GET", "/status/keys/new", "")?;
                ensure!(key["signed"] != json!(0), "{key}");
                Ok(())
            })
            .unwrap();
        });
    }
    let proved = alone(near).unwrap();
    let ping = Ping::start(
        &twins.sites.a.host,
        twins.sites.b.host_address,
        Duration::from_millis(20),
    )
    .unwrap();
    wait::until("the end of the transition", SOON * 2, || {
        ensure!(OffsetDateTime::now_utc() > after(over));
        Ok(())
    })
    .unwrap();
    assert_eq!((ping.finish().lost, alone(near).unwrap()), (0, proved));
    // By now nobody believes what they began with.
    for gateway in [near, far] {
        gateway.causeway(&["reset", "peer"]).unwrap();
    }
    twins.both_up();
}

/// Either side, and both at once, while packets pass.
#[test]
fn two_causeways_prove_anew_who_they_are() {
    let issuers = Issuers::with(Key::P256).unwrap();
    let twins = Twins::new(&issuers);
    twins.both_up();
    let [near, far] = &twins.gateways;
    for asked in [&[near][..], &[far], &[near, far]] {
        unharmed(&twins.sites, near, None, || {
            for gateway in asked {
                gateway.causeway(&["reauthenticate", "peer"]).unwrap();
            }
        });
    }
    let told = |gateway: &Causeway| {
        let mut spis = None;
        wait::until("one IKE SA", SOON, || {
            spis = Some(alone(gateway)?);
            Ok(())
        })
        .unwrap();
        spis
    };
    assert_eq!(told(near), told(far));
}
