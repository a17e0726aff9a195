//! The API with who may come in, and what control has to do with both.

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use axum::Router;
use tokio::sync::{mpsc, watch};

use crate::access::Access;
use crate::calendar;
use crate::chronicle::Teller;
use crate::control::{Channels, Order, Origin, View};
use crate::derive::Addresses;
use crate::firmware::Firmware;
use crate::http::{self, Published};
use crate::https::{Https, Listeners};
use crate::signer::{KeySnapshots, Signer};

/// Who has private keys, and how they do.
type Keys = (Signer, watch::Receiver<Arc<KeySnapshots>>);

/// The API, and what control has to do with it and with others.
pub(crate) fn api(
    published: Published,
    (orders, view): (mpsc::Receiver<Order>, watch::Sender<Arc<View>>),
    teller: &Teller,
    (addresses, keys): (watch::Receiver<Arc<Addresses>>, Keys),
) -> (Router, Channels, Option<Arc<Firmware>>) {
    let shown = (published.configuration.clone(), keys.1.clone());
    let told = (teller.clone(), published.events.clone());
    tokio::spawn(calendar::run(shown, told, SystemTime::now));
    if let Some(firmware) = published.firmware.clone() {
        tokio::spawn(firmware.clone().name_machine(published.dhcp.clone()));
        tokio::spawn(firmware.watch());
    }
    let router = http::router(published.clone());
    let Published {
        access,
        https,
        firmware,
        ..
    } = published;
    let channels = Channels {
        ike: published.commands,
        bgp: published.bgp.commands,
        network: published.refresh,
        teller: teller.clone(),
        addresses,
        keys,
        lists: published.lists.librarian,
        orders,
        view,
        access: access.clone(),
        listeners: https.map(|https| Listeners::new(https, access, router.clone())),
    };
    (router, channels, firmware)
}

/// Who may come in, and the API over the network; a file as the only source has neither users nor a certificate.
pub(crate) fn entrance(origin: &Origin, state: &Path) -> anyhow::Result<(Arc<Access>, Option<Arc<Https>>)> {
    let (store, https) = match origin {
        Origin::Files(_) => (None, None),
        Origin::Store(store) => (
            Some(store.clone()),
            Some(Arc::new(Https::open(state.to_owned())?)),
        ),
    };
    let access = Arc::new(Access::new(store)?);
    tokio::spawn(Access::count(Arc::downgrade(&access)));
    Ok((access, https))
}
