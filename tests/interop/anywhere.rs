//! Peers that come from wherever they are.

use serde_json::json;
use system_tests::lab::run::Run;
use system_tests::lab::sites::Sites;
use system_tests::peer::causeway::{Causeway, document};
use system_tests::peer::strongswan::StrongSwan;
use system_tests::peer::tunnel::{Datapath, Tunnel};

/// The hub waits for two branches, known by nothing but their identities.
fn hub(near: &Tunnel, other: &Tunnel) -> system_tests::peer::causeway::Document {
    let mut hub = document(&[("branch", near), ("other", other)]);
    for name in ["branch", "other"] {
        hub.json["sites"][name]["endpoint"] = json!("any");
        hub.json["connections"][name]["mode"] = json!("ResponderOnly");
    }
    hub
}

/// A branch behind a NAT comes in, is told from another one by its identity, and hosts talk through its tunnel.
#[test]
fn a_branch_behind_a_nat_is_known_by_its_identity() {
    for strongswan in [false, true] {
        let run = Run::new().unwrap();
        let sites = Sites::with_nat(&run).unwrap();
        let datapath = Datapath::of_this_run().unwrap();
        let mut branch = Tunnel::between(&sites.a, &sites.b).starting();
        branch.local_id = "branch.example".to_owned();
        let mut back = Tunnel::between(&sites.b, &sites.a).waiting();
        back.remote_id = "branch.example".to_owned();
        let mut other = back.clone();
        other.remote_id = "other.example".to_owned();
        other.remote_prefix = "10.9.0.0/24".to_owned();
        other.secret = "another.secret".to_owned();
        let hub = hub(&back, &other);
        let hub = Causeway::with_document(&run, &sites.b.gateway, &hub, datapath).unwrap();
        let gateway = &sites.a.gateway;
        let (mut ours, mut theirs) = (None, None);
        if strongswan {
            let peer = StrongSwan::start(&run, gateway, &branch, datapath).unwrap();
            peer.initiate().unwrap();
            theirs = Some(peer);
        } else {
            ours = Some(Causeway::start(&run, gateway, &branch, datapath).unwrap());
        }
        let status = hub.wait_for("branch", "up").unwrap();
        assert_eq!(status["ike"]["remote_identity"], "branch.example");
        assert_eq!(hub.connection("other").unwrap()["state"], "down");
        assert!(sites.a.reaches(&sites.b), "{}", hub.log());
        drop((ours, theirs));
    }
}
