//! A BGP peer that behaves badly, beside one that does not and must not notice.

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use system_tests::lab::namespace::Namespace;
use system_tests::lab::process::memory;
use system_tests::lab::run::Run;
use system_tests::lab::sites::Sites;
use system_tests::lab::wait;
use system_tests::peer::causeway::{Causeway, SOON};
use system_tests::peer::speaker::{ALIVE, connect, establish, open};
use system_tests::peer::strongswan::StrongSwan;
use system_tests::peer::tunnel::Datapath;

use crate::bgp::{
    Branch, FAR_ASN, Kind, apipa, both, ends, established, learnt, third, third_tunnels, tunnels,
};

/// A ROUTE-REFRESH for all IPv4 routes (RFC 2918).
const REFRESH: [u8; 23] = [
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 0, 23, 5, 0, 1, 0, 1,
];
/// How long each attack goes on at least.
const ATTACK: Duration = Duration::from_secs(3);
/// How long a well-behaved peer's news may take meanwhile.
const PROMPT: Duration = Duration::from_secs(10);
/// What the daemon may grow by, in octets.
const GROWTH: u64 = 64 << 20;

/// What it is called, and what the bad peer does.
type Attack = (&'static str, fn(&Namespace));

/// A session of the bad peer, established.
fn session(bad: &Namespace, receive_buffer: Option<usize>) -> TcpStream {
    let [own, ours] = ends(apipa(1));
    let _inside = bad.enter().unwrap();
    wait::until("a session with the bad peer", SOON, || {
        let mut stream = connect([own, ours], receive_buffer)?;
        establish(&mut stream, own, FAR_ASN)?;
        Ok(stream)
    })
    .unwrap()
}

/// Never reads, and asks for everything again and again.
fn stalls(bad: &Namespace) {
    let mut stream = session(bad, Some(2048));
    stream
        .set_write_timeout(Some(Duration::from_millis(100)))
        .unwrap();
    let begun = Instant::now();
    while begun.elapsed() < ATTACK {
        if stream.write_all(&REFRESH.repeat(100)).is_err() {
            // Its own messages are no longer taken, or it was thrown out.
            break;
        }
    }
    pause(ATTACK.saturating_sub(begun.elapsed()));
}

/// Sends a message one octet at a time.
fn dribbles(bad: &Namespace) {
    let [own, ours] = ends(apipa(1));
    let _inside = bad.enter().unwrap();
    let mut stream = wait::until("a connection of the bad peer", SOON, || {
        connect([own, ours], None)
    })
    .unwrap();
    let begun = Instant::now();
    for octet in open(own, FAR_ASN).unwrap() {
        if begun.elapsed() > ATTACK || stream.write_all(&[octet]).is_err() {
            break;
        }
        pause(Duration::from_secs(1));
    }
}

/// Says as fast as it can that it is there.
fn floods(bad: &Namespace) {
    let mut stream = session(bad, None);
    let block = ALIVE.repeat(1000);
    let begun = Instant::now();
    while begun.elapsed() < ATTACK {
        stream.write_all(&block).unwrap();
    }
}

/// Opens a thousand connections and says nothing.
fn crowds(bad: &Namespace) {
    let [own, ours] = ends(apipa(1));
    let _inside = bad.enter().unwrap();
    let begun = Instant::now();
    let streams: Vec<TcpStream> = (0..1000)
        .filter_map(|_| connect([own, ours], None).ok())
        .collect();
    assert!(!streams.is_empty(), "not one connection was taken");
    pause(ATTACK.saturating_sub(begun.elapsed()));
}

/// Holds on to what it has until the attack is over: nothing is concluded from the time that passed.
fn pause(time: Duration) {
    let _over = wait::until("the attack to be over", time, || -> anyhow::Result<()> {
        anyhow::bail!("it goes on")
    });
}

/// However a peer behaves, another one's session stays, its news arrive, and the daemon neither grows nor hoards
/// connections.
#[test]
fn a_bad_peer_is_not_noticed_by_another() {
    let run = Run::new().unwrap();
    let sites = Sites::new(&run).unwrap();
    let datapath = Datapath::of_this_run().unwrap();
    let third = third(&run, &sites);
    let (near, far) = tunnels(&sites, apipa(1));
    let (near_third, far_third) = third_tunnels(&sites);
    let _bad = StrongSwan::start(&run, &sites.b.gateway, &far, datapath).unwrap();
    let mut good = Branch::start(Kind::Bird, &run, &third, &far_third);
    let document = both(&near, &near_third);
    let near = Causeway::with_document(&run, &sites.a.gateway, &document, datapath).unwrap();
    let before = established(&near, "third")["established_count"].clone();
    near.wait_for("second", "up").unwrap();
    let many: Vec<String> = (0..3000_u32)
        .map(|number| format!("100.{}.{}.0/24", 64 + number / 256, number % 256))
        .collect();
    good.speaker.announce(&many);
    learnt(&sites.a.gateway, "100.75.183.0/24", "dev cw-");
    let size = memory(near.id()).unwrap().resident;

    let attacks: [Attack; 4] = [
        ("stalls", stalls),
        ("dribbles", dribbles),
        ("floods", floods),
        ("crowds", crowds),
    ];
    for (number, (name, attack)) in attacks.into_iter().enumerate() {
        let bad = sites.b.gateway.clone();
        let attacker = std::thread::spawn(move || attack(&bad));
        let news = format!("10.88.{number}.0/24");
        let mut networks = many.clone();
        networks.push(news.clone());
        good.speaker.announce(&networks);
        let begun = Instant::now();
        learnt(&sites.a.gateway, &news, "dev cw-");
        let took = begun.elapsed();
        assert!(took < PROMPT, "{name}: {took:?}");
        attacker.join().unwrap();
        let peer = near.neighbour("third").unwrap();
        assert_eq!(peer["state"], "established", "{name}: {peer}");
        assert_eq!(peer["established_count"], before, "{name}: {peer}");
        let now = memory(near.id()).unwrap().resident;
        assert!(now < size + GROWTH, "{name}: {size}, then {now} octets");
        let open = std::fs::read_dir(format!("/proc/{}/fd", near.id()))
            .unwrap()
            .count();
        assert!(open < 200, "{name}: {open} files are open");
    }
    // Who behaves again is taken again.
    drop(session(&sites.b.gateway, None));
}
