//! 4,000 prefixes of a BGP peer: the time from the session being established, as the peer sees it, until all are in the
//! kernel, as that tells of them.
//!
//! Ours is `causewayd` with a peer behind a tunnel of its user-space datapath, strongSwan at the other end; beside it
//! BIRD 2 and FRR, each with a peer on the same link. The peer is the same small program with the same octets. To be
//! beaten: 100 ms.
//!
//! Arguments: how many prefixes (4000), how many rounds (5).

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use system_bench::table::{Announcer, Feed};
use system_bench::{median, print};
use system_tests::lab::link::{End, connect};
use system_tests::lab::namespace::Namespace;
use system_tests::lab::routes::Routes;
use system_tests::lab::run::Run;
use system_tests::lab::sites::Sites;
use system_tests::lab::wait;
use system_tests::peer::bird::Bird;
use system_tests::peer::causeway::{Causeway, SOON};
use system_tests::peer::frr::Frr;
use system_tests::peer::router::{Router, Session};
use system_tests::peer::speaker;
use system_tests::peer::strongswan::StrongSwan;
use system_tests::peer::tunnel::{Bgp, Datapath, Tunnel};

/// Who installs routes, and the number by which the kernel knows its.
const BGP: u8 = 186;
const BIRD: u8 = 12;
const OURS: u32 = 65_010;
const THEIRS: u32 = 65_001;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut number = |otherwise: u32| arguments.next().map_or(Ok(otherwise), |text| text.parse());
    let (prefixes, rounds) = (number(4000)?, number(5)?);
    let feed = Feed::new(prefixes);
    let [mut ours, mut bird, mut frr] = [const { Vec::new() }; 3];
    for _ in 0..rounds {
        ours.push(causeway(&feed)?);
        bird.push(alone(&feed, BIRD)?);
        frr.push(alone(&feed, BGP)?);
    }
    let ours = median(ours).context("no rounds")?;
    for (name, times) in [("bird", bird), ("frr", frr)] {
        let theirs = median(times).context("no rounds")?;
        print(&format!(
            "bgp-kernel/{name} ours={:.1}ms peer={:.1}ms ratio={:.2}",
            milliseconds(ours),
            milliseconds(theirs),
            ours.as_secs_f64() / theirs.as_secs_f64()
        ));
    }
    Ok(())
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// Through a tunnel, between link-local addresses.
fn causeway(feed: &Feed) -> Result<Duration> {
    let run = Run::new()?;
    let sites = Sites::new(&run)?;
    let ends = [Ipv4Addr::new(169, 254, 21, 2), Ipv4Addr::new(169, 254, 21, 1)];
    let [local, remote] = ends;
    let bgp = Bgp::between(ends.map(IpAddr::from), [OURS, THEIRS]);
    let far = Tunnel::between(&sites.b, &sites.a)
        .waiting()
        .speaking(bgp.mirrored());
    let near = Tunnel::between(&sites.a, &sites.b)
        .starting()
        .speaking(Bgp { passive: true, ..bgp });
    let _far = StrongSwan::start(&run, &sites.b.gateway, &far, Datapath::User)?;
    let near = Causeway::start(&run, &sites.a.gateway, &near, Datapath::User)?;
    near.wait_for("peer", "up")?;
    let places = [&sites.b.gateway, &sites.a.gateway];
    installed(feed, places, ([remote, local], BGP)).with_context(|| near.log())
}

/// On one link: BIRD, or FRR.
fn alone(feed: &Feed, protocol: u8) -> Result<Duration> {
    let run = Run::new()?;
    let (load, hub) = (Namespace::new(&run, "load")?, Namespace::new(&run, "hub")?);
    let end = |namespace, address| End {
        namespace,
        link: "wan",
        address,
    };
    connect(&end(&load, "192.0.2.2/24"), &end(&hub, "192.0.2.1/24"))?;
    let (local, remote) = (Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 2));
    let session = Session::new([local.into(), remote.into()], THEIRS).waiting();
    let router = Router::new(OURS, local, vec![session]);
    let (mut bird, mut frr) = (None, None);
    if protocol == BIRD {
        bird = Some(Bird::start(&run, &hub, &router)?);
    } else {
        frr = Some(Frr::start(&run, &hub, &router)?);
    }
    let time = installed(feed, [&load, &hub], ([remote, local], protocol));
    drop((bird, frr));
    time
}

/// Opens the session from one namespace, announces all, and hears of it in the other.
fn installed(
    feed: &Feed,
    [load, hub]: [&Namespace; 2],
    (ends, protocol): ([Ipv4Addr; 2], u8),
) -> Result<Duration> {
    let [own, _] = ends;
    let feed_octets = feed.announced_by(&Announcer {
        asn: THEIRS,
        times: 1,
        next_hop: own,
    })?;
    let routes = Routes::listen(hub)?;
    let mut stream = {
        let _inside = load.enter()?;
        wait::until("a BGP session", SOON, || {
            let mut stream = speaker::connect(ends, None)?;
            speaker::establish(&mut stream, own, THEIRS)?;
            Ok(stream)
        })?
    };
    let begun = Instant::now();
    std::io::Write::write_all(&mut stream, &feed_octets)?;
    let count = usize::try_from(feed.prefixes())?;
    Ok(routes.wait_for(count, protocol, SOON)? - begun)
}
