//! Two gateways as a cell wants them.

use std::net::{IpAddr, Ipv4Addr};

use anyhow::{Result, ensure};
use serde_json::Value;
use system_tests::lab::capture::Capture;
use system_tests::lab::namespace::Namespace;
use system_tests::lab::run::Run;
use system_tests::lab::sites::{Site, Sites};
use system_tests::lab::wait;
use system_tests::peer::causeway::{Causeway, SOON};
use system_tests::peer::strongswan::StrongSwan;
use system_tests::peer::suite::{AZURE, CUSTOM, MODERN};
use system_tests::peer::tunnel::{Datapath, Lines, Tunnel};

use crate::cell::{Cell, Link, Mode, Other, Profile, Selectors};
use crate::traffic::lose_some;

/// Where the router between the sites is seen from the public side.
const ROUTER: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 1));
/// As short as the document allows.
const DPD_TIMEOUT: u32 = 9;

/// Who stands at the other site.
pub(crate) enum Peer {
    Causeway(Causeway),
    StrongSwan(StrongSwan),
}

/// A lab with two gateways. Fields are dropped in this order: what runs goes before where it runs.
pub(crate) struct Scene {
    pub(crate) we: Causeway,
    pub(crate) peer: Peer,
    pub(crate) capture: Capture,
    pub(crate) sites: Sites,
}

impl Scene {
    /// Starts both gateways; nothing is waited for.
    pub(crate) fn start(run: &Run, cell: &Cell) -> Result<Self> {
        let sites = match cell.link {
            Link::Cable | Link::Loss => Sites::new(run)?,
            Link::Nat => Sites::with_nat(run)?,
        };
        if cell.link == Link::Loss {
            lose_some(&sites)?;
        }
        let outer = sites
            .middle
            .as_ref()
            .map_or((&sites.a.gateway, "wan"), |middle| (middle, "near"));
        let capture = Capture::start(outer.0, outer.1)?;
        let [near, far] = places(cell, &sites);
        let (mut ours, mut theirs) = (Tunnel::between(near, far), Tunnel::between(far, near));
        for (tunnel, mode) in [(&mut ours, cell.mode), (&mut theirs, cell.mode.mirrored())] {
            profile(tunnel, cell.profile);
            tunnel.mode = mode.word();
            tunnel.lines = match cell.selectors {
                Selectors::RouteBased => Lines::RouteBased,
                Selectors::PolicyBased => Lines::PolicyBased,
                Selectors::Custom => Lines::Custom,
            };
            tunnel.keeps_up = mode == Mode::InitiatorOnly;
            tunnel.dpd_timeout = DPD_TIMEOUT;
            if cell.link == Link::Nat && tunnel.remote == sites.a.outer {
                tunnel.remote = ROUTER;
            }
        }
        let peer = match cell.other {
            Other::Causeway => Peer::Causeway(Causeway::start(run, &far.gateway, &theirs, cell.theirs)?),
            Other::StrongSwan => {
                Peer::StrongSwan(StrongSwan::start(run, &far.gateway, &theirs, cell.theirs)?)
            }
        };
        let we = Causeway::start(run, &near.gateway, &ours, cell.ours)?;
        Ok(Self {
            we,
            peer,
            capture,
            sites,
        })
    }

    /// Waits until the tunnel is up as we see it, and as a Causeway peer does; our status.
    pub(crate) fn up(&self) -> Result<Value> {
        if let Peer::Causeway(peer) = &self.peer {
            peer.wait_for("peer", "up")?;
        }
        self.we.wait_for("peer", "up")
    }

    /// Prints what both gateways know, for the case that something is not as it should be.
    pub(crate) fn explain(&self) {
        let mut causeways = vec![&self.we];
        match &self.peer {
            Peer::Causeway(peer) => causeways.push(peer),
            Peer::StrongSwan(peer) => eprintln!("--- strongSwan: {:?}", peer.associations()),
        }
        for causeway in causeways {
            eprintln!("--- Causeway: {:?}", causeway.connection("peer"));
        }
        for gateway in [&self.sites.a.gateway, &self.sites.b.gateway] {
            for (program, asked) in [
                ("ip", &["-s", "xfrm", "state"][..]),
                ("ip", &["-s", "xfrm", "policy"]),
                ("ip", &["-s", "link"]),
                ("cat", &["/proc/net/snmp", "/proc/net/xfrm_stat"]),
            ] {
                let told = gateway.run(program, asked);
                let (name, asked) = (gateway.name(), asked.join(" "));
                eprintln!("--- {name}, {program} {asked}:\n{}", told.unwrap_or_default());
            }
        }
    }

    /// Packets that found the queue of a TUN device full, in both gateways.
    pub(crate) fn lost_in_queues(&self, cell: &Cell) -> Result<usize> {
        let [near, far] = places(cell, &self.sites);
        let mut lost = 0;
        for (datapath, place) in [(cell.ours, near), (cell.theirs, far)] {
            if datapath == Datapath::User {
                lost += dropped(&place.gateway)?;
            }
        }
        Ok(lost)
    }

    /// Waits until there are as many Child SAs as a cell has at first: all those that nothing has to ask for.
    pub(crate) fn complete(&self, cell: &Cell) -> Result<()> {
        let wanted = match (cell.selectors, cell.mode, cell.other) {
            (Selectors::RouteBased, ..) => 1,
            (Selectors::PolicyBased, ..) => 4,
            // strongSwan makes nothing on demand: where it has to begin, it begins both lines.
            (Selectors::Custom, Mode::ResponderOnly, Other::StrongSwan) => 2,
            (Selectors::Custom, ..) => 1,
        };
        wait::until("every Child SA", SOON, || {
            let (_, children) = self.spis()?;
            ensure!(children.len() == wanted, "{} of {wanted}", children.len());
            Ok(())
        })
    }

    /// SPIs of our IKE SA and of all that we receive by, once every Child SA has no other beside it.
    pub(crate) fn spis(&self) -> Result<(Value, Vec<Value>)> {
        let status = self.we.connection("peer")?;
        let children = status["children"].as_array().cloned().unwrap_or_default();
        let inbound = children.iter().map(|child| child["inbound_spi"].clone());
        Ok((status["ike"]["initiator_spi"].clone(), inbound.collect()))
    }

    /// Waits until the IKE SA, or every Child SA, is another than before, and as many as before.
    pub(crate) fn replaced(&self, before: &(Value, Vec<Value>), ike: bool) -> Result<()> {
        wait::until("the rekey to be through", SOON, || {
            let now = self.spis()?;
            let other = if ike {
                now.0 != before.0
            } else {
                now.1.iter().all(|spi| !before.1.contains(spi))
            };
            ensure!(
                other && now.1.len() == before.1.len(),
                "{now:?}, before {before:?}"
            );
            Ok(())
        })
    }
}

/// What the tunnel links of a gateway dropped on their way out. A link that went with its daemon dropped nothing.
fn dropped(gateway: &Namespace) -> Result<usize> {
    let told = gateway.run("ip", &["-json", "-statistics", "link"])?;
    let links: Vec<Value> = serde_json::from_str(&told)?;
    let tunnels = links.iter().filter(|link| {
        let name = link["ifname"].as_str().unwrap_or_default();
        name.starts_with("cw-")
    });
    let dropped = tunnels.filter_map(|link| link["stats64"]["tx"]["dropped"].as_u64());
    Ok(usize::try_from(dropped.sum::<u64>())?)
}

/// Our site and the other. Behind a NAT is who begins.
fn places<'s>(cell: &Cell, sites: &'s Sites) -> [&'s Site; 2] {
    if cell.link == Link::Nat && cell.mode == Mode::ResponderOnly {
        [&sites.b, &sites.a]
    } else {
        [&sites.a, &sites.b]
    }
}

fn profile(tunnel: &mut Tunnel, profile: Profile) {
    (tunnel.suite, tunnel.built_in) = match profile {
        Profile::Modern => (MODERN, Some("modern")),
        Profile::AzureDefault => (AZURE, Some("azure-default")),
        Profile::Custom => (CUSTOM, None),
    };
}

impl Peer {
    /// Has it replace the IKE SA, or every Child SA.
    pub(crate) fn rekey(&self, ike: bool) -> Result<()> {
        match self {
            Self::Causeway(peer) => peer.rekey("peer", ike),
            Self::StrongSwan(peer) if ike => peer.rekey_ike().map(|_| ()),
            Self::StrongSwan(peer) => peer.rekey_child().map(|_| ()),
        }
    }

    /// Packets that it lost by itself before they left it.
    pub(crate) fn lost(&self) -> Result<usize> {
        match self {
            Self::Causeway(_) => Ok(0),
            Self::StrongSwan(peer) => peer.lost(),
        }
    }

    /// Stops it in an orderly way.
    pub(crate) fn stop(&mut self) -> Result<()> {
        match self {
            Self::Causeway(peer) => peer.stop().map(|_| ()),
            Self::StrongSwan(peer) => peer.stop(),
        }
    }

    /// Ends it without a word.
    pub(crate) fn kill(&mut self) -> Result<()> {
        match self {
            Self::Causeway(peer) => peer.kill(),
            Self::StrongSwan(peer) => peer.kill(),
        }
    }

    /// Starts it again, and where it may begin has it do so.
    pub(crate) fn restart(&mut self, cell: &Cell) -> Result<()> {
        match self {
            Self::Causeway(peer) => peer.restart(),
            Self::StrongSwan(peer) => {
                peer.restart()?;
                if cell.mode == Mode::Default && cell.link != Link::Nat {
                    let _refused_when_we_were_first = peer.initiate();
                }
                Ok(())
            }
        }
    }
}

/// Takes away what a dead strongSwan left in the kernel, as a machine loses it that starts again.
pub(crate) fn forget(sites: &Sites, cell: &Cell) -> Result<()> {
    let [_, far] = places(cell, sites);
    if cell.theirs == Datapath::Kernel && cell.other == Other::StrongSwan {
        far.gateway.ip(&["xfrm state flush", "xfrm policy flush"])?;
    }
    Ok(())
}
