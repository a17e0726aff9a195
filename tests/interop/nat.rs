//! Networks with the same addresses reach each other through rules of translation.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use serde_json::{Value, json};
use system_tests::lab::alike::{Alike, HOST, NAMES, NETWORK, Network};
use system_tests::lab::capture::{Capture, Class};
use system_tests::lab::conversation::{Called, Conversation, datagrams};
use system_tests::lab::run::Run;
use system_tests::lab::traffic::Ping;
use system_tests::lab::wait;
use system_tests::peer::causeway::{Causeway, Document, SOON, document};
use system_tests::peer::strongswan::StrongSwan;
use system_tests::peer::tunnel::{Datapath, Tunnel};

/// How long an answer is waited for that does not come.
const NEVER: Duration = Duration::from_secs(2);

pub(crate) fn rule(mode: &str, internal: Value, external: Value) -> Value {
    json!({ "type": "Static", "mode": mode, "internal": internal, "external": external })
}

/// The gateway of the first network, with a tunnel to each of the others. Each is known by its name to the others.
pub(crate) fn translating(networks: &[Network]) -> Document {
    let (hub, sites) = networks.split_first().unwrap();
    let tunnels: Vec<(String, Tunnel)> = (1..)
        .zip(sites)
        .map(|(number, site)| {
            let tunnel = Tunnel::joining([hub.outer, site.outer], [NETWORK; 2]).starting();
            (format!("s{number}"), tunnel)
        })
        .collect();
    let connections: Vec<(&str, &Tunnel)> = tunnels
        .iter()
        .map(|(name, tunnel)| (name.as_str(), tunnel))
        .collect();
    let mut document = document(&connections);
    let prefix = |prefix: &str| json!({ "prefix": prefix });
    let json = &mut document.json;
    json["nat_rules"]["ours"] = rule("EgressSnat", prefix(NETWORK), prefix(&hub.name));
    for ((name, _), site) in tunnels.iter().zip(sites) {
        json["nat_rules"][name] = rule("IngressSnat", prefix(NETWORK), prefix(&site.name));
        json["connections"][name]["nat"] = json!({ "ingress": [name], "egress": ["ours"] });
    }
    document
}

/// The tunnel as the gateway of another network sees it, which knows nothing of translation.
pub(crate) fn unaware(hub: &Network, site: &Network) -> Tunnel {
    Tunnel::joining([site.outer, hub.outer], [NETWORK, NAMES]).waiting()
}

/// The host of a network listens at a port, and others call it by its name.
fn called(network: &Network, port: u16) -> Called {
    Called {
        there: SocketAddr::from((HOST, port)),
        called: SocketAddr::from((network.host_name, port)),
    }
}

/// Pings, datagrams and a TCP connection come through from one network to another and back, and not one packet is lost.
fn reaches(from: &Network, to: &Network, port: u16) {
    let ping = Ping::start(&from.host, to.host_name, Duration::from_millis(20)).unwrap();
    ping.wait_for(10, SOON).unwrap();
    let answers = ping.finish();
    assert_eq!(answers.lost, 0, "{answers:?}");
    datagrams(&from.host, &to.host, called(to, port), 10).unwrap();
    let mut conversation = Conversation::begin(&from.host, &to.host, called(to, port)).unwrap();
    assert!(conversation.answers(SOON));
}

/// What status tells of a rule on a connection.
pub(crate) fn told(gateway: &Causeway, rule: &str) -> Option<Value> {
    let status = gateway.status().unwrap();
    let mut rules = status["nat"]["rules"].as_array().unwrap().iter();
    rules.find(|told| told["rule"] == rule).cloned()
}

/// Waits until status tells that a rule translated more than so many packets, and a flow.
fn counted(gateway: &Causeway, rule: &str, packets: u64) -> u64 {
    wait::until(&format!("packets of {rule}"), SOON, || {
        let told = told(gateway, rule).context("no such rule")?;
        let (now, flows) = (told["packets"].as_u64(), told["flows"].as_u64());
        anyhow::ensure!(now > Some(packets) && flows > Some(0), "{told}");
        now.context("no packets")
    })
    .unwrap()
}

/// Our network and that of a site are both 10.0.0.0/24. Each host reaches the other by its name, and nothing ever leaves in
/// clear text: not what is translated, and not when the tunnel is gone.
#[test]
fn two_networks_with_the_same_addresses_reach_each_other() {
    let run = Run::new().unwrap();
    let lab = Alike::new(&run, 2).unwrap();
    let [hub, site] = &lab.networks[..] else {
        unreachable!("two networks")
    };
    let datapath = Datapath::of_this_run().unwrap();
    let capture = Capture::start(&hub.gateway, "wan").unwrap();
    let peer = StrongSwan::start(&run, &site.gateway, &unaware(hub, site), datapath).unwrap();
    let gateway = Causeway::with_store(&run, &hub.gateway, &translating(&lab.networks), datapath).unwrap();
    gateway.wait_for("s1", "up").unwrap();
    reaches(hub, site, 7001);
    reaches(site, hub, 7002);
    for rule in ["ours", "s1"] {
        counted(&gateway, rule, 40);
    }
    let status = gateway.status().unwrap();
    assert_eq!(status["nat"]["in_place"], true, "{status}");

    drop(peer);
    let ping = Ping::start(&hub.host, site.host_name, Duration::from_millis(20)).unwrap();
    ping.wait_sent(20, SOON).unwrap();
    gateway.causeway(&["disconnect", "s1"]).unwrap();
    ping.wait_sent(20, SOON).unwrap();
    drop(ping);
    let seen = capture.finish();
    assert_eq!(seen.count(Class::Clear), 0, "{seen:?}");
    assert!(seen.esp() > 0, "{seen:?}");
}

/// The daemon is killed and starts again, and what is translated goes on. Then a rule for one port goes: the connection that it
/// translated ends, and that of a rule that stays goes on, as do the tunnel and what the rule counted.
#[test]
fn flows_of_a_rule_that_goes_end_and_others_go_on() {
    let run = Run::new().unwrap();
    let lab = Alike::new(&run, 2).unwrap();
    let [hub, site] = &lab.networks[..] else {
        unreachable!("two networks")
    };
    let datapath = Datapath::of_this_run().unwrap();
    let _peer = StrongSwan::start(&run, &site.gateway, &unaware(hub, site), datapath).unwrap();
    let plain = translating(&lab.networks);
    let mut more = plain.clone();
    more.json["nat_rules"]["web"] = rule(
        "EgressSnat",
        json!({ "prefix": "10.0.0.10/32", "port": 80 }),
        json!({ "prefix": "100.64.200.1/32", "port": 8080 }),
    );
    more.json["connections"]["s1"]["nat"]["egress"] = json!(["ours", "web"]);
    let mut gateway = Causeway::with_store(&run, &hub.gateway, &more, datapath).unwrap();
    gateway.wait_for("s1", "up").unwrap();
    let web = Called {
        there: SocketAddr::from((HOST, 80)),
        called: "100.64.200.1:8080".parse().unwrap(),
    };
    let mut goes = Conversation::begin(&site.host, &hub.host, web).unwrap();
    let mut stays = Conversation::begin(&site.host, &hub.host, called(hub, 7003)).unwrap();
    assert!(goes.answers(SOON) && stays.answers(SOON));
    counted(&gateway, "web", 0);
    let before = counted(&gateway, "ours", 0);
    gateway.kill().unwrap();
    gateway.restart().unwrap();
    gateway.wait_for("s1", "up").unwrap();
    assert!(goes.answers(SOON) && stays.answers(SOON), "as if nothing were");

    let report = gateway.commit(&plain.json, &[]).unwrap();
    let impact = &report["impact"]["connections"];
    assert_eq!(impact["changed_in_place"], json!(["s1"]), "{report}");
    assert_eq!(impact["reset"], json!([]), "{report}");
    assert!(stays.answers(SOON), "the rule is still there");
    assert!(!goes.answers(NEVER), "the rule is gone");
    assert_eq!(told(&gateway, "web"), None);
    counted(&gateway, "ours", before);
    wait::until("new connections by the rule that stays", SOON, || {
        let mut again = Conversation::begin(&site.host, &hub.host, called(hub, 7004))?;
        anyhow::ensure!(again.answers(NEVER), "no answer");
        Ok(())
    })
    .unwrap();
}

/// Whether `nft` refuses or cannot be run: the commit is taken back and tells so in the words that were said, and what was
/// translated before goes on, for new connections too.
#[test]
fn rules_that_nft_refuses_are_taken_back() {
    let run = Run::new().unwrap();
    let lab = Alike::new(&run, 2).unwrap();
    let [hub, site] = &lab.networks[..] else {
        unreachable!("two networks")
    };
    let datapath = Datapath::of_this_run().unwrap();
    let _peer = StrongSwan::start(&run, &site.gateway, &unaware(hub, site), datapath).unwrap();
    let plain = translating(&lab.networks);
    let gateway = Causeway::with_own_nft(&run, &hub.gateway, &plain, datapath).unwrap();
    gateway.wait_for("s1", "up").unwrap();
    let mut stays = Conversation::begin(&site.host, &hub.host, called(hub, 7005)).unwrap();
    let mut more = plain.json.clone();
    more["nat_rules"]["more"] = rule(
        "EgressSnat",
        json!({ "prefix": "10.0.0.11/32", "port": 80 }),
        json!({ "prefix": "100.64.200.1/32", "port": 8080 }),
    );
    more["connections"]["s1"]["nat"]["egress"] = json!(["ours", "more"]);
    for (port, program, said) in [
        (
            7006,
            "#!/bin/sh\necho 'Error: no room here' >&2\nexit 1\n",
            "nft says: Error: no room here; install the package nftables again, and report this if it stays",
        ),
        (
            7007,
            "#!/no/such/program\n",
            "nft cannot be run (No such file or directory (os error 2)); install the package nftables again",
        ),
    ] {
        gateway.replace_nft(Some(program)).unwrap();
        let refused = gateway.commit(&more, &[]).unwrap_err().to_string();
        for words in ["not-applied", said] {
            assert!(refused.contains(words), "{words}: {refused}");
        }
        assert_eq!(told(&gateway, "more"), None);
        let status = gateway.status().unwrap();
        assert_eq!(status["nat"]["in_place"], true, "{status}");
        assert!(stays.answers(SOON), "as if nothing were");
        let mut new = Conversation::begin(&site.host, &hub.host, called(hub, port)).unwrap();
        assert!(new.answers(SOON), "the rules of before translate");
    }
    gateway.replace_nft(None).unwrap();
    gateway.commit(&more, &[]).unwrap();
    assert!(told(&gateway, "more").is_some());
    assert!(stays.answers(SOON), "its rule stayed");
}
