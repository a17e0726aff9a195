use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use appliance_esp::{Datapath, InterfaceError, Notice, Notices};
use ike::{ChildId, Encapsulation, EspPair, Watched};

use crate::datapath::{Counters, Refused};
use crate::derive::NetworkSettings;
use crate::translate;

/// The Child SAs that the user-space datapath carries, and its TUN interfaces.
#[derive(Debug)]
pub(crate) struct UserChildren {
    datapath: Arc<Datapath>,
    links: BTreeMap<String, u16>,
    children: BTreeSet<ChildId>,
    notices: Notices,
}

impl UserChildren {
    /// Over a datapath without interfaces.
    pub(crate) fn new(datapath: Arc<Datapath>, notices: Notices) -> Self {
        Self {
            datapath,
            notices,
            links: BTreeMap::new(),
            children: BTreeSet::new(),
        }
    }

    /// The links that are there.
    pub(super) fn links(&self) -> BTreeSet<String> {
        self.links.keys().cloned().collect()
    }

    /// Makes and removes TUN interfaces until there is one for each tunnel; what could not be made is returned.
    pub(super) fn match_links(&mut self, network: &NetworkSettings) -> Vec<Refused> {
        let wanted: BTreeMap<String, u16> = network
            .tunnels
            .values()
            .map(|tunnel| (tunnel.numbering.link.clone(), tunnel.mtu))
            .collect();
        let unwanted: Vec<String> = self
            .links
            .extract_if(.., |link, _| !wanted.contains_key(link))
            .map(|(link, _)| link)
            .collect();
        let unwanted: Vec<&str> = unwanted.iter().map(String::as_str).collect();
        self.datapath.remove_interfaces(&unwanted);
        wanted
            .into_iter()
            .filter_map(|(link, mtu)| self.raise(&link, mtu).err())
            .collect()
    }

    /// Somebody deleted this link: it is made anew, with all that it carries.
    pub(super) fn renew(&mut self, link: &str) -> Result<(), Refused> {
        let mtu = self.links.remove(link);
        mtu.map_or(Ok(()), |mtu| self.raise(link, mtu))
    }

    fn raise(&mut self, link: &str, mtu: u16) -> Result<(), Refused> {
        if self.links.contains_key(link) {
            return Ok(());
        }
        match self.datapath.add_interface(link, mtu) {
            Ok(()) | Err(InterfaceError::Exists(_)) => {
                self.links.insert(link.to_owned(), mtu);
                Ok(())
            }
            Err(error @ InterfaceError::Device { .. }) => Err(Refused {
                object: format!("link {link}"),
                attribute: None,
                detail: error.to_string(),
            }),
        }
    }

    pub(super) fn install(&mut self, id: ChildId, pair: EspPair, link: &str) -> Result<(), Refused> {
        let refused = |detail| Refused {
            object: format!("Child SA on {link}"),
            attribute: None,
            detail,
        };
        let pair = translate::esp_pair(pair).map_err(|error| refused(error.to_string()))?;
        self.datapath
            .install(id.0, link, &pair)
            .map_err(|error| refused(error.to_string()))?;
        self.children.insert(id);
        Ok(())
    }

    pub(super) fn remove(&mut self, id: ChildId) {
        if self.children.remove(&id) {
            self.datapath.remove(id.0);
        }
    }

    /// From now on packets leave by this child.
    pub(super) fn send_by(&self, id: ChildId) {
        self.datapath.send_by(id.0);
    }

    /// Replaces the lines of a link whose packets are told about while no child carries them.
    pub(super) fn watch(&self, link: &str, lines: &[Watched]) {
        let lines: Vec<_> = lines.iter().map(translate::esp_watched).collect();
        self.datapath.watch(link, &lines);
    }

    /// What the workers tell unasked. Cancelling loses nothing.
    pub(super) async fn notice(&mut self) -> Notice {
        match self.notices.next().await {
            Some(notice) => notice,
            // The datapath is gone only when everything stops.
            None => std::future::pending().await,
        }
    }

    /// The outer addresses of a child changed; false when it cannot follow.
    pub(super) fn redirect(
        &self,
        id: ChildId,
        (local, remote): (SocketAddr, SocketAddr),
        encapsulation: Encapsulation,
    ) -> bool {
        let encapsulation = translate::esp_encapsulation(encapsulation);
        self.datapath.redirect(id.0, (local, remote), encapsulation)
    }

    /// How many packets each of these children has received.
    pub(super) fn received(&self, children: &[ChildId]) -> Vec<(ChildId, u64)> {
        let of = |id: &ChildId| Some((*id, self.datapath.counters(id.0)?.packets_in));
        children.iter().filter_map(of).collect()
    }

    /// What one child carried.
    pub(super) fn counters_of(&self, id: ChildId) -> Option<Counters> {
        let counters = self.datapath.counters(id.0)?;
        let appliance_esp::Counters {
            packets_in,
            packets_out,
            bytes_in,
            bytes_out,
            packets_missing,
            ..
        } = counters;
        Some(Counters {
            packets_in,
            packets_out,
            bytes_in,
            bytes_out,
            packets_lost: packets_missing,
        })
    }

    /// What each child carried.
    pub(super) fn counters(&self) -> BTreeMap<ChildId, Counters> {
        let of = |id: &ChildId| Some((*id, self.counters_of(*id)?));
        self.children.iter().filter_map(of).collect()
    }
}
