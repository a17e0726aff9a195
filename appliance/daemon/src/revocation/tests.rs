use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use appliance_config::model::ListSource;
use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::get;
use ike::Input;
use ike::crypto::{RevocationList, WantedList};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationList, CertificateRevocationListParams,
    CertifiedIssuer, DnType, IsCa, KeyIdMethod, KeyPair, RevokedCertParams, SerialNumber,
};
use time::OffsetDateTime;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

use super::fault::ListReason;
use super::{Cache, Librarian, ListSnapshot, ListSnapshots, ListSpecs, start};
use crate::chronicle::Teller;

/// Who issues lists.
struct Issuer(CertifiedIssuer<'static, KeyPair>);

impl Issuer {
    fn new(name: &str) -> Self {
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name = rcgen::DistinguishedName::new();
        parameters.distinguished_name.push(DnType::CommonName, name);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap())
    }

    fn der(&self) -> Vec<u8> {
        self.0.der().to_vec()
    }

    /// A list with one certificate, issued so many hours ago, in DER.
    fn list(&self, serial: u64, hours: u64) -> Vec<u8> {
        self.signed(serial, hours).der().to_vec()
    }

    fn signed(&self, serial: u64, hours: u64) -> CertificateRevocationList {
        let at = |time: SystemTime| OffsetDateTime::from(time);
        let issued = SystemTime::now() - Duration::from_secs(hours * 3600);
        let parameters = CertificateRevocationListParams {
            this_update: at(issued),
            next_update: at(issued + Duration::from_secs(48 * 3600)),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: vec![RevokedCertParams {
                serial_number: SerialNumber::from(serial),
                revocation_time: at(issued),
                reason_code: None,
                invalidity_date: None,
            }],
            key_identifier_method: KeyIdMethod::Sha256,
        };
        parameters.signed_by(&self.0).unwrap()
    }
}

/// The owner of lists, and what it tells.
struct Library {
    librarian: Librarian,
    engine: mpsc::Receiver<Input>,
    shown: watch::Receiver<Arc<ListSnapshots>>,
}

impl Library {
    fn new(cache: Option<&Path>) -> Self {
        let (engine, told) = mpsc::channel(8);
        let cache = Cache::new(cache.map(Path::to_owned));
        let lists = start(engine, cache, Teller::to_nobody());
        let engine = told;
        Self {
            librarian: lists.librarian,
            engine,
            shown: lists.shown,
        }
    }

    async fn wants(&self, source: &ListSource, issuer: &Issuer) {
        let issuers = BTreeSet::from([issuer.der()]);
        self.librarian
            .configure(ListSpecs::from([(source.clone(), issuers)]))
            .await;
    }

    /// The lists that the engine has from now on.
    async fn told(&mut self) -> Vec<RevocationList> {
        match self.engine.recv().await.unwrap() {
            Input::RevocationLists(lists) => lists,
            other => panic!("{other:?}"),
        }
    }

    /// What is shown of the only list, once that is so.
    async fn shows(&mut self, so: impl Fn(&ListSnapshot) -> bool) -> ListSnapshot {
        let shown = self
            .shown
            .wait_for(|shown| shown.values().any(&so))
            .await
            .unwrap();
        shown.values().next().unwrap().clone()
    }
}

/// A server with one list, which it answers with this.
async fn served(list: Vec<u8>) -> ListSource {
    let answer = move |headers: HeaderMap| {
        let list = list.clone();
        async move {
            match headers.contains_key("if-none-match") {
                true => (StatusCode::NOT_MODIFIED, HeaderMap::new(), Vec::new()),
                false => {
                    let tag = HeaderMap::from_iter([("etag".parse().unwrap(), "\"1\"".parse().unwrap())]);
                    (StatusCode::OK, tag, list)
                }
            }
        }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/root.crl", listener.local_addr().unwrap());
    let router = Router::new().route("/root.crl", get(answer));
    tokio::spawn(async move { axum::serve(listener, router).await });
    ListSource::Http(address)
}

fn nowhere() -> ListSource {
    ListSource::Http("http://127.0.0.1:1/root.crl".to_owned())
}

#[tokio::test]
async fn a_list_is_fetched_shown_and_told() {
    let issuer = Issuer::new("Root");
    let source = served(issuer.list(7, 1)).await;
    let mut library = Library::new(None);
    library.wants(&source, &issuer).await;
    let told = library.told().await;
    assert_eq!(
        (told.len(), told[0].revoked(), told[0].issuer().as_str()),
        (1, 1, "CN=Root")
    );
    let shown = library.shows(|shown| shown.list.is_some()).await;
    assert_eq!((shown.fault, shown.is_learnt), (None, false));
    // The document names it no longer.
    library.librarian.configure(ListSpecs::new()).await;
    assert!(library.told().await.is_empty());
}

#[tokio::test]
async fn what_a_peer_s_certificate_names_is_fetched_too_and_stays() {
    let issuer = Issuer::new("Root");
    let ListSource::Http(address) = served(issuer.list(7, 1)).await else {
        panic!()
    };
    let mut library = Library::new(None);
    let issuers = vec![issuer.der()];
    library.librarian.add(vec![WantedList { address, issuers }]);
    assert_eq!(library.told().await.len(), 1);
    library.librarian.configure(ListSpecs::new()).await;
    assert!(library.shows(|shown| shown.list.is_some()).await.is_learnt);
}

/// Two peers whose certificates name the same address, of which the second alone has the issuer of what is there.
#[tokio::test]
async fn a_list_may_be_of_any_issuer_that_a_peer_s_certificate_stands_for() {
    let (stranger, issuer) = (Issuer::new("Stranger"), Issuer::new("Root"));
    let ListSource::Http(address) = served(issuer.list(7, 1)).await else {
        panic!()
    };
    let mut library = Library::new(None);
    let by = |issuer: &Issuer| WantedList {
        address: address.clone(),
        issuers: vec![issuer.der()],
    };
    library.librarian.add(vec![by(&stranger)]);
    library.shows(|shown| shown.fault.is_some()).await;
    library.librarian.add(vec![by(&issuer)]);
    assert_eq!(library.told().await.len(), 1);
    let shown = library.shows(|shown| shown.list.is_some()).await;
    assert_eq!((shown.fault, shown.is_learnt), (None, true));
}

#[tokio::test]
async fn a_list_in_a_file_may_be_pem() {
    let (issuer, directory) = (Issuer::new("Root"), tempfile::tempdir().unwrap());
    let path = directory.path().join("root.crl");
    std::fs::write(&path, issuer.signed(7, 1).pem().unwrap()).unwrap();
    let mut library = Library::new(None);
    library.wants(&ListSource::File(path), &issuer).await;
    assert_eq!(library.told().await.len(), 1);
}

/// Whoever answers in the place of a server gets nothing believed.
#[tokio::test]
async fn each_fault_has_its_word_and_leaves_what_was_known() {
    let (issuer, other) = (Issuer::new("Root"), Issuer::new("Root"));
    let cases = [
        (served(other.list(7, 1)).await, ListReason::Forged),
        (
            served(Issuer::new("Stranger").list(7, 1)).await,
            ListReason::Forged,
        ),
        (served(b"<html>".to_vec()).await, ListReason::Invalid),
        (served(vec![0x30; (4 << 20) + 1]).await, ListReason::Invalid),
        (nowhere(), ListReason::Unreachable),
        (
            ListSource::File("/nowhere/root.crl".into()),
            ListReason::Unreachable,
        ),
        (ListSource::File("/dev/zero".into()), ListReason::Unreachable),
    ];
    for (source, reason) in cases {
        let mut library = Library::new(None);
        library.wants(&source, &issuer).await;
        let shown = library.shows(|shown| shown.fault.is_some()).await;
        assert_eq!(shown.fault.unwrap().reason, reason, "{source}");
        assert!(
            shown.list.is_none() && library.engine.try_recv().is_err(),
            "{source}"
        );
    }
}

/// A box that starts while the server is away believes what it believed before.
#[tokio::test]
async fn a_list_outlives_a_restart_and_no_older_one_takes_its_place() {
    let (issuer, directory) = (Issuer::new("Root"), tempfile::tempdir().unwrap());
    let source = served(issuer.list(7, 1)).await;
    let mut library = Library::new(Some(directory.path()));
    library.wants(&source, &issuer).await;
    library.told().await;
    library.shows(|shown| shown.list.is_some()).await;

    let kept = std::fs::read_dir(directory.path())
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let mut again = Library::new(Some(directory.path()));
    again.wants(&source, &issuer).await;
    assert_eq!(again.told().await.len(), 1);

    // What was kept is newer than what the server has now.
    std::fs::write(&kept, issuer.list(8, 0)).unwrap();
    let mut newer = Library::new(Some(directory.path()));
    newer.wants(&source, &issuer).await;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let shown = newer.shows(|shown| shown.fault.is_some()).await;
    assert_eq!(shown.fault.unwrap().reason, ListReason::Outdated);
    assert!(shown.list.unwrap().this_update() + 1800 > now);

    // What is on the disk counts no more than what comes by HTTP.
    std::fs::write(&kept, Issuer::new("Root").list(7, 1)).unwrap();
    let mut forged = Library::new(Some(directory.path()));
    forged.wants(&nowhere(), &issuer).await;
    forged.shows(|shown| shown.fault.is_some()).await;
    assert!(forged.engine.try_recv().is_err());
}
