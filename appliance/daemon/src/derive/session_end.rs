use std::net::IpAddr;

use appliance_config::model::TcpAoAlgorithm;
use aws_lc_rs::constant_time;
use bgp::bfd::BfdSettings;
use secrecy::{ExposeSecret, SecretSlice};

/// The two ends of a session, and what its segments are like.
#[derive(Debug, Clone)]
pub(crate) struct SessionEnd {
    /// The link of the tunnel that they pass.
    pub(crate) link: String,
    /// Our end.
    pub(crate) local: IpAddr,
    /// The far end.
    pub(crate) remote: IpAddr,
    /// How far they go, and come.
    pub(crate) distance: Distance,
    /// How each of them is authenticated.
    pub(crate) signing: Signing,
    /// Notices that the far end is gone.
    pub(crate) bfd: Option<BfdSettings>,
    /// Of several tunnels between the same ends the smallest that carries has the session.
    pub(crate) priority: u16,
}

/// Over how many routers segments travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Distance {
    /// Ours start with this TTL.
    AtMost(u8),
    /// Ours start with 255, and the peer's arrive with at least this much (RFC 5082 §3).
    Checked(u8),
}

/// How segments are authenticated.
#[derive(Debug, Clone)]
pub(crate) enum Signing {
    /// Not at all.
    None,
    /// With this key (RFC 2385).
    Md5(SecretSlice<u8>),
    /// With one of these, the first rather than another (RFC 5925).
    TcpAo(Vec<TcpAoKey>),
}

/// A master key tuple (RFC 5925 §3.1).
#[derive(Debug, Clone)]
pub(crate) struct TcpAoKey {
    /// The master key.
    pub(crate) secret: SecretSlice<u8>,
    /// What our segments call it.
    pub(crate) send_id: u8,
    /// What the far end's call it.
    pub(crate) receive_id: u8,
    /// What is made of it.
    pub(crate) algorithm: TcpAoAlgorithm,
    /// TCP options are signed, too.
    pub(crate) sign_options: bool,
}

/// What becomes of the sockets of a session when its settings change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Following {
    /// The same serve.
    Same,
    /// They take other keys of TCP-AO beside one that stays.
    OtherKeys,
    /// It takes new ones.
    Anew,
}

impl Distance {
    /// Whether no router is in between.
    pub(crate) fn is_next_door(self) -> bool {
        matches!(self, Self::AtMost(1) | Self::Checked(u8::MAX))
    }
}

impl SessionEnd {
    /// What the sockets that served `before` can do for this.
    pub(crate) fn follows(&self, before: &Self) -> Following {
        if self.passes_as(before) {
            self.signing.follows(&before.signing)
        } else {
            Following::Anew
        }
    }

    /// Whether packets pass the same way.
    pub(crate) fn passes_as(&self, other: &Self) -> bool {
        let way = |end: &Self| (end.link.clone(), end.local, end.remote, end.distance);
        way(self) == way(other)
    }
}

impl Signing {
    fn follows(&self, before: &Self) -> Following {
        match (before, self) {
            (Self::None, Self::None) => Following::Same,
            (Self::Md5(old), Self::Md5(new)) if equal(old, new) => Following::Same,
            (Self::TcpAo(old), Self::TcpAo(new)) => keys_follow(old, new),
            (Self::None | Self::Md5(_) | Self::TcpAo(_), _) => Following::Anew,
        }
    }
}

/// One key has to stay, and none may mean something else than before.
fn keys_follow(old: &[TcpAoKey], new: &[TcpAoKey]) -> Following {
    if old.len() == new.len() && old.iter().zip(new).all(|(old, new)| old.is(new)) {
        return Following::Same;
    }
    let stays = old.iter().any(|old| new.iter().any(|new| old.is(new)));
    let meets =
        |old: &TcpAoKey, new: &TcpAoKey| old.send_id == new.send_id || old.receive_id == new.receive_id;
    let changed = |old: &TcpAoKey| new.iter().any(|new| meets(old, new) && !old.is(new));
    if stays && !old.iter().any(changed) {
        Following::OtherKeys
    } else {
        Following::Anew
    }
}

impl TcpAoKey {
    fn is(&self, other: &Self) -> bool {
        let open = |key: &Self| (key.send_id, key.receive_id, key.algorithm, key.sign_options);
        equal(&self.secret, &other.secret) && open(self) == open(other)
    }
}

fn equal(one: &SecretSlice<u8>, other: &SecretSlice<u8>) -> bool {
    constant_time::verify_slices_are_equal(one.expose_secret(), other.expose_secret()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(signing: Signing) -> SessionEnd {
        SessionEnd {
            link: "cw-a".to_owned(),
            local: [169, 254, 21, 2].into(),
            remote: [169, 254, 21, 1].into(),
            distance: Distance::AtMost(2),
            signing,
            bfd: None,
            priority: 100,
        }
    }

    fn key(secret: &str, id: u8) -> TcpAoKey {
        TcpAoKey {
            secret: secret.as_bytes().to_vec().into(),
            send_id: id,
            receive_id: id,
            algorithm: TcpAoAlgorithm::HmacSha1,
            sign_options: true,
        }
    }

    fn keys(keys: &[(&str, u8)]) -> SessionEnd {
        end(Signing::TcpAo(
            keys.iter().map(|(secret, id)| key(secret, *id)).collect(),
        ))
    }

    /// A session never goes on with less than it began with, or with a key that the far end cannot know.
    #[test]
    fn sockets_serve_on_only_where_their_keys_do() {
        let follows = |old: &SessionEnd, new: &SessionEnd| new.follows(old);
        let md5 = |secret: &str| end(Signing::Md5(secret.as_bytes().to_vec().into()));
        let none = end(Signing::None);
        assert_eq!(follows(&none, &none), Following::Same);
        assert_eq!(follows(&md5("a"), &md5("a")), Following::Same);
        for (old, new) in [
            (&none, &md5("a")),
            (&md5("a"), &none),
            (&md5("a"), &md5("b")),
            (&keys(&[("a", 1)]), &none),
            (&none, &keys(&[("a", 1)])),
            (&keys(&[("a", 1)]), &keys(&[("b", 1)])),
            (&keys(&[("a", 1)]), &keys(&[("b", 2)])),
            (&keys(&[("a", 1), ("b", 2)]), &keys(&[("a", 1), ("c", 2)])),
        ] {
            assert_eq!(follows(old, new), Following::Anew, "{old:?} {new:?}");
        }
        let (one, both) = (keys(&[("a", 1)]), keys(&[("a", 1), ("b", 2)]));
        assert_eq!(follows(&both, &both), Following::Same);
        for (old, new) in [
            (&one, &both),
            (&both, &one),
            (&both, &keys(&[("b", 2), ("a", 1)])),
        ] {
            assert_eq!(follows(old, new), Following::OtherKeys, "{old:?} {new:?}");
        }
    }
}
