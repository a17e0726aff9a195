//! What has to be known of the world to believe a certificate.

use std::collections::BTreeSet;
use std::time::Instant;

use crate::crypto::{Certificate, Disbelief, RevocationList, Trust, WantedList};
use crate::engine::Engine;
use crate::wire::IdentificationPayload;
use crate::{
    Action, CertificateReason, Connection, ConnectionName, Outage, PeerCertificate, Reason, RemoteProof,
    Side, Stage, identity,
};

/// The most lists whose addresses peers' certificates may tell.
const MOST_LISTS: usize = 64;

/// What time it is, and what was revoked.
#[derive(Default)]
pub(crate) struct Beliefs {
    /// What UNIX time it was then, in seconds; `None` while no clock is right.
    clock: Option<(Instant, u64)>,
    /// Lists of revoked certificates.
    pub(crate) lists: Vec<RevocationList>,
    /// Where others are, as certificates of peers say.
    wanted: BTreeSet<WantedList>,
}

impl Beliefs {
    /// Seconds of UNIX time, if anybody knows it.
    pub(crate) fn unix_s(&self, now: Instant) -> Option<u64> {
        let (at, unix_s) = self.clock?;
        Some(unix_s.saturating_add(now.saturating_duration_since(at).as_secs()))
    }

    /// The certificate of a peer that sent these and says that it is this: it leads to a root that is believed, and names it.
    pub(crate) fn believe(
        &self,
        (sent, said): (&[&[u8]], &IdentificationPayload),
        trust: &Trust,
        (now, stage): (Instant, Stage),
    ) -> Result<Certificate, Outage> {
        let refused = |reason, offered: String, expected: String| Outage {
            offered,
            expected,
            ..Outage::plain(reason, Side::We, stage)
        };
        let unix_s = self.unix_s(now).ok_or_else(|| {
            let expected = "a clock that is set, to tell whether the peer's certificate is valid";
            refused(Reason::Clock, "none".to_owned(), expected.to_owned())
        })?;
        let certificate = trust.judge(sent, &self.lists, unix_s);
        let certificate = certificate.map_err(
            |Disbelief {
                 reason,
                 found,
                 expected,
             }| { refused(Reason::Certificate(reason), found, expected) },
        )?;
        if !certificate.is_of(said) {
            let named = format!("a name in its certificate, that of {}", certificate.names().0);
            return Err(refused(
                Reason::PeerIdentityUnexpected,
                identity::words(said),
                named,
            ));
        }
        Ok(certificate)
    }
}

impl Engine {
    /// The wall clock shows this.
    pub(crate) fn clock(&mut self, unix_s: Option<u64>, now: Instant) {
        self.beliefs.clock = unix_s.map(|unix_s| (now, unix_s));
    }

    /// These lists are there. Whoever was believed and stands on one of them is believed no longer.
    pub(crate) fn revocation_lists(&mut self, lists: Vec<RevocationList>, now: Instant) {
        self.beliefs.lists = lists;
        let all = self.sas.values().map(|sa| &sa.common);
        let all = all.chain(self.v1.sas.values().map(|phase| &phase.common));
        let revoked: Vec<(ConnectionName, Outage)> = all
            .filter_map(|common| {
                let name = common.connection.as_ref()?;
                let outage = self.revoked(name, &common.shown, now)?;
                (self.current_sa(name) == Some(common.spi)).then(|| (name.clone(), outage))
            })
            .collect();
        for (name, outage) in revoked {
            self.close_with(&name, outage, now);
        }
    }

    fn revoked(&self, name: &ConnectionName, shown: &[Vec<u8>], now: Instant) -> Option<Outage> {
        let settings = self.settings_of(name)?;
        let RemoteProof::Certificate(expected) = &settings.authentication.remote else {
            return None;
        };
        let disbelief = self.judge(expected, shown, now)?.err()?;
        let reason = Some(disbelief.reason).filter(|reason| *reason == CertificateReason::Revoked)?;
        Some(Outage {
            offered: disbelief.found,
            expected: disbelief.expected,
            ..Outage::plain(Reason::Certificate(reason), Side::We, Stage::Established)
        })
    }

    /// The certificates that the peer of an IKE SA has shown.
    pub(crate) fn shown(&self, spi: u64) -> Option<&[Vec<u8>]> {
        let common = self.sas.get(&spi).map(|sa| &sa.common);
        let common = common.or_else(|| self.v1.sas.get(&spi).map(|phase| &phase.common));
        common.map(|common| common.shown.as_slice())
    }

    /// Whether what a peer has shown is believed now; `None` if it showed nothing, or nobody knows what time it is.
    pub(crate) fn judge(
        &self,
        expected: &PeerCertificate,
        shown: &[Vec<u8>],
        now: Instant,
    ) -> Option<Result<(), Disbelief>> {
        let shown: Vec<&[u8]> = shown.iter().map(Vec::as_slice).collect();
        let unix_s = self.beliefs.unix_s(now).filter(|_| !shown.is_empty())?;
        let judged = expected.trust.judge(&shown, &self.beliefs.lists, unix_s);
        Some(judged.map(drop))
    }

    /// Asks for the lists that may say whether a certificate of a peer is revoked that sent these; its chain was judged, and good
    /// but for those lists. Each is told once with whom it may be of.
    pub(crate) fn ask_for_lists(&mut self, sent: &[&[u8]], settings: &Connection, now: Instant) {
        let RemoteProof::Certificate(expected) = &settings.authentication.remote else {
            return;
        };
        let Some(unix_s) = self.beliefs.unix_s(now) else {
            return;
        };
        let mut unknown = Vec::new();
        for list in expected.trust.lists(sent, unix_s) {
            if self.beliefs.wanted.len() < MOST_LISTS && self.beliefs.wanted.insert(list.clone()) {
                unknown.push(list);
            }
        }
        if !unknown.is_empty() {
            self.out.push(Action::FetchLists(unknown));
        }
    }
}

/// Whether a peer's certificates led to a root, whatever else was found of them.
pub(crate) fn leads<T>(judged: &Result<T, Outage>) -> bool {
    judged
        .as_ref()
        .err()
        .is_none_or(|outage| outage.reason == Reason::Certificate(CertificateReason::RevocationUnknown))
}
