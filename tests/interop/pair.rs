//! Two gateways with a tunnel between them, as most scenarios begin.

use std::net::IpAddr;
use std::time::Duration;

use serde_json::Value;
use system_tests::lab::capture::{Capture, Seen};
use system_tests::lab::run::Run;
use system_tests::lab::sites::{Site, Sites};
use system_tests::lab::traffic::{Ping, stream};
use system_tests::lab::wait;
use system_tests::peer::causeway::{Causeway, SOON};
use system_tests::peer::strongswan::StrongSwan;
use system_tests::peer::tunnel::{Datapath, Tunnel};

/// Who stands at the second site; the first is always Causeway's.
pub(crate) enum Far {
    Causeway(Causeway),
    StrongSwan(StrongSwan),
}

/// Which implementation stands at the second site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Causeway,
    StrongSwan,
}

/// Which gateway sends the first message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum First {
    Near,
    Far,
}

/// How strongSwan replaces an SA.
pub(crate) type Rekey = fn(&StrongSwan) -> anyhow::Result<String>;

/// A lab with two gateways. Fields are dropped in this order: what runs goes before where it runs.
pub(crate) struct Pair {
    pub(crate) near: Causeway,
    pub(crate) far: Far,
    pub(crate) capture: Capture,
    pub(crate) sites: Sites,
    pub(crate) _run: Run,
}

/// Both views of the usual tunnel.
pub(crate) fn tunnels(sites: &Sites) -> (Tunnel, Tunnel) {
    (
        Tunnel::between(&sites.a, &sites.b),
        Tunnel::between(&sites.b, &sites.a),
    )
}

impl Pair {
    /// The usual tunnel, up.
    pub(crate) fn up(kind: Kind, first: First) -> Self {
        let run = Run::new().unwrap();
        let sites = Sites::new(&run).unwrap();
        let (near, far) = tunnels(&sites);
        let pair = Self::start(run, sites, (near, far), (kind, first));
        pair.wait();
        pair
    }

    /// Starts both gateways. A strongSwan that is to begin is told to; a tunnel that may fail is not waited for.
    pub(crate) fn start(
        run: Run,
        sites: Sites,
        tunnels: (Tunnel, Tunnel),
        (kind, first): (Kind, First),
    ) -> Self {
        let datapath = Datapath::of_this_run().unwrap();
        let (near, far) = match first {
            First::Near => (tunnels.0.starting(), tunnels.1.waiting()),
            First::Far => (tunnels.0.waiting(), tunnels.1.starting()),
        };
        let outer = sites
            .middle
            .as_ref()
            .map_or((&sites.a.gateway, "wan"), |middle| (middle, "near"));
        let capture = Capture::start(outer.0, outer.1).unwrap();
        let gateway = &sites.b.gateway;
        let far = match (kind, first) {
            (Kind::Causeway, First::Near) => {
                Far::Causeway(Causeway::start(&run, gateway, &far, datapath).unwrap())
            }
            (Kind::StrongSwan, _) => {
                Far::StrongSwan(StrongSwan::start(&run, gateway, &far, datapath).unwrap())
            }
            (Kind::Causeway, First::Far) => {
                let near = Causeway::start(&run, &sites.a.gateway, &near, datapath).unwrap();
                let far = Far::Causeway(Causeway::start(&run, gateway, &far, datapath).unwrap());
                return Self {
                    near,
                    far,
                    capture,
                    sites,
                    _run: run,
                };
            }
        };
        let near = Causeway::start(&run, &sites.a.gateway, &near, datapath).unwrap();
        if let (Far::StrongSwan(peer), First::Far) = (&far, first) {
            let _scenarios_look_at_what_came_of_it = peer.initiate();
        }
        Self {
            near,
            far,
            capture,
            sites,
            _run: run,
        }
    }

    /// Waits until the tunnel is up at both ends; its status at the near one.
    pub(crate) fn wait(&self) -> Value {
        if let Far::Causeway(far) = &self.far {
            far.wait_for("peer", "up").unwrap();
        }
        self.near.wait_for("peer", "up").unwrap()
    }

    /// Pings and a stream go through the tunnel in both directions, and not one is lost.
    pub(crate) fn carries(&self) {
        self.carries_to(|site| site.host_address.into());
    }

    /// The same with IPv6 inside.
    pub(crate) fn carries_six(&self) {
        self.carries_to(|site| site.six_address.into());
    }

    fn carries_to(&self, address: impl Fn(&Site) -> IpAddr) {
        let (a, b) = (&self.sites.a, &self.sites.b);
        for (from, to) in [(a, b), (b, a)] {
            let address = address(to);
            let ping = Ping::start(&from.host, address, Duration::from_millis(20)).unwrap();
            ping.wait_for(10, SOON).unwrap();
            let answers = ping.finish();
            assert_eq!(answers.lost, 0, "{answers:?}");
            let carried = stream(&from.host, &to.host, address, Duration::from_millis(300)).unwrap();
            assert!(carried.bytes > 100_000, "{carried:?}");
        }
    }

    /// strongSwan replaces an SA while traffic flows, so that this part of our status changes, and no packet is lost but
    /// for those that strongSwan's own kernel has no state for.
    pub(crate) fn through(&self, rekey: Rekey, part: &str) {
        let Far::StrongSwan(peer) = &self.far else {
            unreachable!("strongSwan stands there")
        };
        let now = || -> anyhow::Result<(Value, usize)> {
            let status = self.near.connection("peer")?;
            let children = status["children"].as_array().map_or(0, Vec::len);
            Ok((status.pointer(part).cloned().unwrap_or_default(), children))
        };
        let ((before, _), lost_before) = (now().unwrap(), peer.lost().unwrap());
        let (a, b) = (&self.sites.a, &self.sites.b);
        let ping = Ping::start(&b.host, a.host_address, Duration::from_millis(20)).unwrap();
        ping.wait_for(10, SOON).unwrap();
        rekey(peer).unwrap();
        wait::until("the rekey to be through", SOON, || {
            let (after, children) = now()?;
            anyhow::ensure!(after != before && children == 1, "{after}, {children} children");
            Ok(())
        })
        .unwrap();
        let answers = ping.finish();
        let lost_by_peer = peer.lost().unwrap() - lost_before;
        assert!(
            answers.lost <= lost_by_peer,
            "{answers:?}, {lost_by_peer} by the peer"
        );
        self.carries();
    }

    /// Ends the capture: not one packet on the outer link was anything but ESP or IKE.
    pub(crate) fn only_esp(self) -> Seen {
        let seen = self.capture.finish();
        assert_eq!(seen.unexpected(), 0, "{seen:?}");
        assert!(seen.esp() > 0, "{seen:?}");
        seen
    }
}
