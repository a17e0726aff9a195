//! BGP sessions whose segments carry the TCP authentication option (RFC 5925), where the kernel has it. Neither FRR nor
//! BIRD of Debian 12 has it, so both ends are ours.

use anyhow::ensure;
use nix::errno::Errno;
use nix::sys::socket::SetSockOpt;
use serde_json::{Value, json};
use socket2::{Domain, Socket, Type};
use system_tests::lab::namespace::Namespace;
use system_tests::lab::run::Run;
use system_tests::lab::sites::Sites;
use system_tests::lab::wait;
use system_tests::peer::causeway::{Causeway, Document, SOON, document};
use system_tests::peer::speaker::connect;
use system_tests::peer::tunnel::Datapath;

use crate::bgp::{Branch, Kind, apipa, ends, established, learnt, tunnels};

/// `TCP_AO_INFO` of `linux/tcp.h`, whose structure has 48 octets.
const TCP_AO_INFO: i32 = 40;
const IPPROTO_TCP: i32 = 6;

nix::setsockopt_impl!(
    TcpAoInfo,
    IPPROTO_TCP,
    TCP_AO_INFO,
    [u64; 6],
    nix::sys::socket::sockopt::SetStruct<'_, [u64; 6]>
);
#[derive(Clone)]
struct TcpAoInfo;

/// Whether this kernel has TCP-AO; where it has not, that the scenario is skipped is said.
fn has_tcp_ao() -> bool {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    TcpAoInfo.set(&socket, &[0; 6]) != Err(Errno::ENOPROTOOPT)
}

/// The documents of both sides, which have these keys, by their ids.
struct Keyed {
    near: Document,
    far: Document,
}

impl Keyed {
    fn new(sites: &Sites) -> Self {
        let (near, far) = tunnels(sites, apipa(1));
        let [near, far] = [near, far].map(|tunnel| {
            let mut document = document(&[("peer", &tunnel)]);
            let secret = |id: u8| (format!("ao-{id}"), format!("TheKeyWithId{id}"));
            document.secrets.extend([1, 2].map(secret));
            document
        });
        Self { near, far }
    }

    fn with(&self, ids: &[u8]) -> [Document; 2] {
        [&self.near, &self.far].map(|document| signed(document, ids))
    }
}

fn signed(document: &Document, ids: &[u8]) -> Document {
    let key = |id: &u8| {
        let algorithm = if *id == 1 {
            "hmac-sha1-96"
        } else {
            "aes-128-cmac-96"
        };
        json!({ "secret": format!("ao-{id}"), "send_id": id, "receive_id": id, "algorithm": algorithm })
    };
    let mut document = document.clone();
    let keys: Vec<Value> = ids.iter().map(key).collect();
    document.json["connections"]["peer"]["bgp"]["tcp_ao"] = json!(keys);
    document
}

/// A counter of the TCP of a namespace.
fn counted(gateway: &Namespace, name: &str) -> u64 {
    let text = gateway.run("cat", &["/proc/net/netstat"]).unwrap();
    let mut lines = text.lines().filter(|line| line.starts_with("TcpExt:"));
    let (names, values) = (lines.next().unwrap(), lines.next().unwrap());
    let place = names.split(' ').position(|other| other == name).unwrap();
    values.split(' ').nth(place).unwrap().parse().unwrap()
}

/// Routes go both ways over signed segments; keys come, take turns and go on either side while the session stays; and who
/// does not sign is not even answered.
#[test]
fn tcp_ao_signs_a_session_and_its_keys_take_turns() {
    if !has_tcp_ao() {
        return eprintln!(
            "SKIPPED tcp_ao_signs_a_session…: because this kernel has no TCP-AO (Linux 6.7 or later with CONFIG_TCP_AO)"
        );
    }
    let run = Run::new().unwrap();
    let sites = Sites::new(&run).unwrap();
    let datapath = Datapath::of_this_run().unwrap();
    let keyed = Keyed::new(&sites);
    let [near, far] = keyed.with(&[1]);
    let far = Causeway::with_document(&run, &sites.b.gateway, &far, datapath).unwrap();
    let near = Causeway::with_document(&run, &sites.a.gateway, &near, datapath).unwrap();
    for (gateway, site, prefix) in [(&near, &sites.a, "10.2.0.0/24"), (&far, &sites.b, "10.1.0.0/24")] {
        established(gateway, "peer");
        learnt(&site.gateway, prefix, "dev cw-");
    }
    let good = counted(&sites.a.gateway, "TCPAOGood");
    assert!(good > 0, "nothing was signed");
    assert!(sites.a.reaches(&sites.b), "{}", near.log());

    // One side after the other, as operators do it.
    for ids in [&[1, 2][..], &[2, 1], &[2]] {
        let [first, second] = keyed.with(ids);
        for (gateway, document) in [(&near, first), (&far, second)] {
            gateway.reload(&document).unwrap();
            refreshed(gateway);
        }
    }
    for gateway in [&near, &far] {
        let peer = established(gateway, "peer");
        assert_eq!(peer["established_count"], 1, "the session stayed: {peer}");
    }
    assert!(counted(&sites.a.gateway, "TCPAOGood") > good);

    let before = counted(&sites.a.gateway, "TCPAORequired") + counted(&sites.a.gateway, "TCPAOKeyNotFound");
    let inside = sites.b.gateway.enter().unwrap();
    let [own, ours] = ends(apipa(1));
    assert!(
        connect([own, ours], None).is_err(),
        "a connection without a signature was taken"
    );
    drop(inside);
    let after = counted(&sites.a.gateway, "TCPAORequired") + counted(&sites.a.gateway, "TCPAOKeyNotFound");
    assert!(after > before, "its segments arrived");
    assert_eq!(near.neighbour("peer").unwrap()["established_count"], 1);
}

/// Has both sides send their routes again, and waits until the peer's came, over the keys that are there now.
fn refreshed(gateway: &Causeway) {
    let updates = |peer: &Value| peer["received"]["updates"].as_u64().unwrap();
    let before = updates(&gateway.neighbour("peer").unwrap());
    gateway.causeway(&["bgp", "refresh", "peer"]).unwrap();
    wait::until("routes by the keys of now", SOON, || {
        let peer = gateway.neighbour("peer")?;
        ensure!(updates(&peer) > before, "{peer}");
        Ok(())
    })
    .unwrap();
}

/// Two keys of one id that are not the same key: no session, and the kernel counts what it dropped.
#[test]
fn another_key_of_tcp_ao_opens_no_session() {
    if !has_tcp_ao() {
        return eprintln!(
            "SKIPPED another_key_of_tcp_ao…: because this kernel has no TCP-AO (Linux 6.7 or later with CONFIG_TCP_AO)"
        );
    }
    let run = Run::new().unwrap();
    let sites = Sites::new(&run).unwrap();
    let datapath = Datapath::of_this_run().unwrap();
    let [near, mut far] = Keyed::new(&sites).with(&[1]);
    far.secrets.retain(|(name, _)| name != "ao-1");
    far.secrets.push(("ao-1".to_owned(), "AnotherKey".to_owned()));
    let far = Causeway::with_document(&run, &sites.b.gateway, &far, datapath).unwrap();
    let near = Causeway::with_document(&run, &sites.a.gateway, &near, datapath).unwrap();
    wait::until("segments with a wrong signature", SOON, || {
        let bad = [&sites.a, &sites.b].map(|site| counted(&site.gateway, "TCPAOBad"));
        ensure!(bad.iter().sum::<u64>() > 2, "{bad:?} so far");
        Ok(())
    })
    .unwrap();
    for gateway in [&near, &far] {
        let peer = gateway.neighbour("peer").unwrap();
        assert_eq!(peer["established_count"], 0, "{peer}");
    }
}

/// On a kernel that has no TCP-AO a session that is to have it is down and says why; the peer, who would speak without, is
/// not let in.
#[test]
fn without_tcp_ao_in_the_kernel_nothing_is_said() {
    if has_tcp_ao() {
        return eprintln!("SKIPPED without_tcp_ao_in_the_kernel…: because this kernel has TCP-AO");
    }
    let run = Run::new().unwrap();
    let sites = Sites::new(&run).unwrap();
    let datapath = Datapath::of_this_run().unwrap();
    let (_, far) = tunnels(&sites, apipa(1));
    let branch = Branch::start(Kind::Bird, &run, &sites.b.gateway, &far);
    let [mut document, _] = Keyed::new(&sites).with(&[1]);
    for passive in [false, true] {
        document.json["connections"]["peer"]["bgp"]["passive"] = json!(passive);
        let mut near = Causeway::with_document(&run, &sites.a.gateway, &document, datapath).unwrap();
        wait::until("the want of TCP-AO to be told", SOON, || {
            let peer = near.neighbour("peer")?;
            let error = &peer["last_error"];
            ensure!(error["reason"] == "authentication-unavailable", "{peer}");
            ensure!(
                error["side"] == "we" && error["detail"].to_string().contains("RFC 5925"),
                "{peer}"
            );
            Ok(())
        })
        .unwrap();
        {
            let _inside = sites.b.gateway.enter().unwrap();
            let [own, ours] = ends(apipa(1));
            assert!(
                connect([own, ours], None).is_err(),
                "passive {passive}: somebody listens"
            );
        }
        assert_ne!(branch.session().unwrap().state, "Established");
        assert!(near.log().contains("cannot be taken"), "{}", near.log());
        assert_eq!(near.neighbour("peer").unwrap()["established_count"], 0);
        near.stop().unwrap();
        near.remove().unwrap();
    }
}
